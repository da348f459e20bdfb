/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_print.h - the schema table for readers: help text, commented file, reference page.
 *
 * Use:     `mangod --help` prints the first; `ninja config-docs` writes the other two into the
 *          tree and conf_test compares them.
 * Threads: any.
 */
#ifndef MG_CONF_PRINT_H
#define MG_CONF_PRINT_H
#include <stdio.h>

/* One line per key: name, range, default. */
void mg_conf_print_help(FILE *out);
/* config/mangod.yaml: every key with its default, commented. */
void mg_conf_print_yaml(FILE *out);
/* docs/config.md. */
void mg_conf_print_markdown(FILE *out);
#endif
