#ifndef POINTSMAN_BASE_PANIC_H
#define POINTSMAN_BASE_PANIC_H

#include <stddef.h>

/*
 * Assertions that stay in release builds. They are for our own bugs only (a state
 * that cannot be, an argument of the wrong kind): bad input, a full disk or a lost
 * peer never ends here.
 */

/* Prints "file:line: function: what" to standard error, then abort(). */
_Noreturn void panic_at(const char *file, int line, const char *function, const char *what);

#define ASSERT(condition) \
	((condition) ? (void)0 : panic_at(__FILE__, __LINE__, __func__, #condition))

#define UNREACHABLE() panic_at(__FILE__, __LINE__, __func__, "unreachable code was reached")

/* From a member's address to the struct around it. */
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
