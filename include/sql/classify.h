#ifndef POINTSMAN_SQL_CLASSIFY_H
#define POINTSMAN_SQL_CLASSIFY_H

#include "base/arena.h"
#include "sql/shape.h"
#include "sql/verdict.h"

/*
 * From a shape to its verdict: parses it with PostgreSQL's grammar and walks the tree with a list
 * of what is allowed. What is not on the list makes the verdict `unknown_node`. No cache.
 *
 * Everything in the verdict lies in the arena. NULL without memory.
 *
 * The parser's memory belongs to the thread and is freed when the thread ends.
 */
const struct verdict *classify_shape(struct arena *arena, const struct shape *shape);

#endif
