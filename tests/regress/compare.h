#ifndef POINTSMAN_TESTS_REGRESS_COMPARE_H
#define POINTSMAN_TESTS_REGRESS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What may differ, as the tables of docs/compatibility.md tell it, and what does. One row is one
 * difference:
 *
 *	| `script` | `a line of it` | where | when | reason |
 *
 * A difference (what diff calls a hunk) is the row's when it is in the output of that script, in
 *one of the modes of `where`, and one of its lines contains the text. `when` is `always` or
 *`sometimes`: a row that always differs must be seen in each of its modes. `*` is any script, or
 *any text.
 */

struct list;

/* NULL when the file cannot be read, or has a row that is none; says why. */
struct list *list_load(const char *path);
void list_free(struct list **list);

/*
 * Compares two outputs of a script. Lines that differ are written to `diff_path`; each
 * difference that no row explains to standard output. true when all are explained.
 */
bool list_compare(struct list *list, const char *mode, const char *script, const char *expected,
		  const char *got, const char *diff_path);

/*
 * After all comparisons of a mode: the rows that say `always` and were not seen, to standard
 * output; their number. `scripts` are the ones that were run.
 */
size_t list_check_seen(const struct list *list, const char *mode, char *const *scripts,
		       size_t n_scripts);

#endif
