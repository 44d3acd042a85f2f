#ifndef POINTSMAN_WIRE_BUILD_H
#define POINTSMAN_WIRE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * Building messages at the end of a `struct bytes`. The field writers are sticky through
 * bytes.failed: write all, check once. Whole-message builders below are made of them.
 *
 * Failures are: no memory, a body above FRAME_BODY_MAX, a count above 65,535. build_end() takes a
 * message that failed out again, so what is held is always whole messages. Nothing may be
 * consumed from the front between build_begin() and build_end().
 */

/* Opens a message; returns the mark that build_end() needs to fill in the length. */
size_t build_begin(struct bytes *out, uint8_t type);
/* Opens one of the start-up messages, which have no type byte. */
size_t build_begin_untyped(struct bytes *out);
void build_end(struct bytes *out, size_t mark);

void build_u8(struct bytes *out, uint8_t value);
void build_u16(struct bytes *out, uint16_t value);
void build_u32(struct bytes *out, uint32_t value);
void build_string(struct bytes *out, const char *text); /* with its NUL */
void build_raw(struct bytes *out, const void *data, size_t length);

/* --- backend messages --- */

void build_auth_request(struct bytes *out, uint32_t code, const void *data, size_t length);
void build_backend_key(struct bytes *out, uint32_t pid, const void *secret, size_t length);
void build_parameter_status(struct bytes *out, const char *name, const char *value);
void build_ready(struct bytes *out, uint8_t txn_status);
void build_command_complete(struct bytes *out, const char *tag);
void build_empty(struct bytes *out, uint8_t type); /* a message without a body */

/*
 * NegotiateProtocolVersion: `newest_minor` of 3.x that we speak (sent as the whole version, as
 * PostgreSQL does), and the `_pq_.` options that we do not know.
 */
void build_negotiate_version(struct bytes *out, uint32_t newest_minor,
			     const char *const *unknown_options, size_t n_unknown);

/*
 * ErrorResponse / NoticeResponse. `severity` "ERROR", "FATAL", "WARNING", "NOTICE"; sqlstate of 5
 * letters; detail and hint may be NULL.
 */
void build_error(struct bytes *out, const char *severity, const char *sqlstate,
		 const char *message, const char *detail, const char *hint);
void build_notice(struct bytes *out, const char *severity, const char *sqlstate,
		  const char *message, const char *detail, const char *hint);

/* Types of the columns we ever return ourselves. */
enum {
	OID_TEXT = 25,
	OID_INT4 = 23,
	OID_INT8 = 20,
	OID_NUMERIC = 1700,
	OID_BOOL = 16
};

struct build_column {
	const char *name;
	uint32_t type_oid;
};

void build_row_description(struct bytes *out, const struct build_column *columns, size_t n);

/* Text values; NULL for SQL NULL. */
void build_data_row(struct bytes *out, const char *const *values, size_t n);

/* --- frontend messages --- */

/* StartupMessage 3.`minor`; `params` are n pairs name, value. */
void build_startup(struct bytes *out, uint16_t minor, const char *const *params, size_t n_pairs);
void build_query(struct bytes *out, const char *sql, size_t length);
void build_password(struct bytes *out, const char *password); /* PasswordMessage */
/* SASLInitialResponse; `data` NULL when there is no initial response. */
void build_sasl_initial(struct bytes *out, const char *mechanism, const void *data,
			size_t length);
void build_sasl_response(struct bytes *out, const void *data, size_t length);
void build_ssl_request(struct bytes *out);
void build_cancel_request(struct bytes *out, uint32_t pid, const void *secret, size_t length);
/* Parse: `types` are n parameter type OIDs in host order. */
void build_parse(struct bytes *out, const char *name, const char *sql, size_t sql_length,
		 const uint32_t *types, size_t n_types);

#endif
