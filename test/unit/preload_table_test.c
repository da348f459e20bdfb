/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_table_test.c - descriptor numbers and the objects behind them: dup, close, look-ups beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "libclient/preload/table.h"

uint32_t mg_fork_gen = 1;
static _Atomic uint32_t ended;

void mg_obj_end(struct mg_obj *obj)
{
	assert_int_equal(atomic_load(&obj->nr_fds), 0);
	(void)atomic_fetch_add(&ended, 1);
	mg_obj_free(obj);
}

static struct mg_obj *put_at(int fd)
{
	struct mg_obj *obj = mg_obj_new(MG_OBJ_SOCK, 256);

	assert_non_null(obj);
	assert_int_equal(mg_fd_reserve(fd), 0);
	mg_fd_set(fd, obj);
	mg_obj_put(obj);
	return obj;
}

static void object_lives_as_long_as_a_number(void **state)
{
	struct mg_obj *obj = put_at(5), *found;

	(void)state;
	ended = 0;
	found = mg_fd_get(5);
	assert_ptr_equal(found, obj);
	mg_obj_put(found);
	mg_fd_set(6, obj); /* dup */
	assert_true(mg_fd_clear(5));
	assert_int_equal(ended, 0);
	assert_null(mg_fd_get(5));
	found = mg_fd_get(6); /* a call under way */
	assert_true(mg_fd_clear(6));
	assert_int_equal(ended, 0);
	mg_obj_put(found);
	assert_int_equal(ended, 1);
	assert_false(mg_fd_clear(6));
}

static void overwriting_lets_go(void **state)
{
	struct mg_obj *b;

	(void)state;
	ended = 0;
	(void)put_at(7);
	b = put_at(7); /* dup2 */
	assert_int_equal(ended, 1);
	assert_ptr_equal(mg_fd_peek(7), b);
	(void)mg_fd_clear(7);
	assert_int_equal(ended, 2);
}

static void hidden_is_not_there(void **state)
{
	(void)state;
	mg_fd_hide(900);
	assert_true(mg_fd_is_hidden(900));
	assert_null(mg_fd_get(900));
	mg_fd_unhide(900);
	assert_false(mg_fd_is_hidden(900));
	mg_fd_unhide(900); /* twice does no harm */
}

static void odd_numbers(void **state)
{
	(void)state;
	assert_null(mg_fd_get(-1));
	assert_null(mg_fd_get(1 << 30));
	assert_false(mg_fd_clear(-1));
	assert_int_equal(mg_fd_reserve(MG_FD_PAGE * MG_FD_PAGES), -EMFILE);
	assert_int_equal(mg_fd_reserve(MG_FD_PAGE * MG_FD_PAGES - 1), 0);
}

struct seen {
	int fds[8];
	uint32_t nr;
};

static void see(int fd, struct mg_obj *obj, void *arg)
{
	struct seen *seen = arg;

	(void)obj;
	seen->fds[seen->nr++] = fd;
}

static void walks_in_order(void **state)
{
	struct seen seen = { .nr = 0 };

	(void)state;
	(void)put_at(20);
	(void)put_at(3000);
	mg_fd_hide(2047);
	mg_fd_each(10, ~0u, see, &seen);
	assert_int_equal(seen.nr, 3);
	assert_int_equal(seen.fds[0], 20);
	assert_int_equal(seen.fds[1], 2047);
	assert_int_equal(seen.fds[2], 3000);
	(void)mg_fd_clear(20);
	(void)mg_fd_clear(3000);
	mg_fd_unhide(2047);
}

#define ROUNDS 20000

static void *look_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct mg_obj *obj = mg_fd_get(11);

		if (obj == NULL)
			continue;
		assert_int_equal(obj->kind, MG_OBJ_SOCK);
		mg_obj_put(obj);
	}
	return NULL;
}

static void looks_while_it_is_closed_and_opened(void **state)
{
	pthread_t thread[2];

	(void)state;
	ended = 0;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, look_up, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		(void)put_at(11);
		(void)mg_fd_clear(11);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(ended, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_lives_as_long_as_a_number),
		cmocka_unit_test(overwriting_lets_go),
		cmocka_unit_test(hidden_is_not_there),
		cmocka_unit_test(odd_numbers),
		cmocka_unit_test(walks_in_order),
		cmocka_unit_test(looks_while_it_is_closed_and_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
