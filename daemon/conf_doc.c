/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_doc.c - writes docs/config.md and config/mangod.yaml from the schema table.
 *
 * Use:     conf_doc markdown|yaml|help [FILE]   (the target config-docs runs it for both files)
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/conf_print.h"

struct kind {
	const char *name;
	void (*print)(FILE *out);
};

static const struct kind kinds[] = {
	{ "markdown", mg_conf_print_markdown },
	{ "yaml", mg_conf_print_yaml },
	{ "help", mg_conf_print_help },
};

static int write_to(const struct kind *kind, const char *path)
{
	FILE *out = path != NULL ? fopen(path, "w") : stdout;

	if (out == NULL) {
		(void)fprintf(stderr, "conf_doc: %s: %s\n", path, strerror(errno));
		return 1;
	}
	kind->print(out);
	if (fflush(out) != 0 || (path != NULL && fclose(out) != 0)) {
		(void)fprintf(stderr, "conf_doc: %s: %s\n", path != NULL ? path : "stdout",
			      strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name) == 0)
			return write_to(&kinds[i], argc > 2 ? argv[2] : NULL);
	}
	(void)fprintf(stderr, "usage: conf_doc markdown|yaml|help [FILE]\n");
	return 2;
}
