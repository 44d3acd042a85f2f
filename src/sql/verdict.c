/*
 * The words of verdicts, reasons and pins: one spelling for logs, metrics and SHOW, made from
 * the lists in the header. Any thread.
 */
#include "sql/verdict.h"

#include "base/panic.h"

const char *verdict_kind_name(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_READ: return "read";
	case VERDICT_READ_TAINTED: return "read_tainted";
	case VERDICT_WRITE: return "write";
	case VERDICT_DDL: return "ddl";
	case VERDICT_TXN: return "txn";
	case VERDICT_SESSION: return "session";
	case VERDICT_COPY_IN: return "copy_in";
	case VERDICT_COPY_OUT: return "copy_out";
	case VERDICT_UNKNOWN: return "unknown";
	}
	UNREACHABLE();
}

const char *verdict_reason_name(enum verdict_reason reason)
{
	static const char *const names[] = {
#define REASON_NAME(upper, lower) #lower,
		VERDICT_REASONS(REASON_NAME)
#undef REASON_NAME
	};

	ASSERT(reason >= 0 && reason < VERDICT_REASON_COUNT);
	return names[reason];
}

const char *pin_reason_name(enum pin_reason reason)
{
	static const char *const names[] = { "",
#define PIN_NAME(upper, lower) #lower,
					     PIN_REASONS(PIN_NAME)
#undef PIN_NAME
	};

	ASSERT(reason >= 0 && reason < PIN_COUNT);
	return names[reason];
}
