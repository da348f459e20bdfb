/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list_test.c - the intrusive list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/list.h"

struct item {
	int v;
	struct mg_list_node node;
};

static void keeps_order(void **state)
{
	struct mg_list list;
	struct item it[3] = { { .v = 1 }, { .v = 2 }, { .v = 0 } };
	int want = 0;

	(void)state;
	mg_list_init(&list);
	assert_true(mg_list_is_empty(&list));
	assert_null(mg_list_first(&list));
	assert_null(mg_list_pop_front(&list));
	mg_list_push_back(&list, &it[0].node);
	mg_list_push_back(&list, &it[1].node);
	mg_list_push_front(&list, &it[2].node);
	MG_LIST_FOREACH(n, &list)
		assert_int_equal(mg_container_of(n, struct item, node)->v, want++);
	assert_int_equal(want, 3);
	assert_ptr_equal(mg_list_last(&list), &it[1].node);
	assert_ptr_equal(mg_list_pop_front(&list), &it[2].node);
	assert_false(mg_list_is_linked(&it[2].node));
}

static void removes_anywhere_and_twice(void **state)
{
	struct mg_list list;
	struct item it[4] = { { .v = 0 }, { .v = 1 }, { .v = 2 }, { .v = 3 } };
	int sum = 0;

	(void)state;
	mg_list_init(&list);
	for (size_t i = 0; i < 4; i++)
		mg_list_push_back(&list, &it[i].node);
	MG_LIST_FOREACH_SAFE(n, &list) {
		if (mg_container_of(n, struct item, node)->v % 2 == 0)
			mg_list_remove(n);
	}
	mg_list_remove(&it[0].node); /* not linked: nothing happens */
	MG_LIST_FOREACH(n, &list)
		sum += mg_container_of(n, struct item, node)->v;
	assert_int_equal(sum, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order),
		cmocka_unit_test(removes_anywhere_and_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
