#ifndef POINTSMAN_WIRE_STARTUP_H
#define POINTSMAN_WIRE_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The packets without a type byte that open a connection (PostgreSQL documentation, "Start-up";
 * src/backend/postmaster/postmaster.c:ProcessStartupPacket).
 */

/* With the length field, which PostgreSQL's MAX_STARTUP_PACKET_LENGTH of 10,000 leaves out. */
#define STARTUP_PACKET_MAX 10004
#define STARTUP_PARAMS_MAX 128

/*
 * The newest 3.x that we speak. 3.1 is reserved and was never defined: as PostgreSQL does, it is
 * taken for what it says, and means what 3.0 means.
 */
#define STARTUP_NEWEST_MINOR 2

/* The versions that were ever defined. */
enum protocol_version {
	PROTOCOL_3_0,
	PROTOCOL_3_2, /* PostgreSQL 18: long cancel keys */
	PROTOCOL_VERSION_COUNT
};

/* "3.0", "3.2"; and 0, 2. */
const char *protocol_version_name(enum protocol_version version);
unsigned protocol_version_minor(enum protocol_version version);

/* What the parameter `replication` asks for (postmaster.c:ProcessStartupPacket). */
enum startup_replication {
	REPLICATION_NONE,
	REPLICATION_PHYSICAL, /* a walsender without a database: no SQL */
	REPLICATION_LOGICAL,  /* "database": a walsender that knows SQL, too */
};

/* "none", "physical", "logical": PgBouncer's words. */
const char *startup_replication_name(enum startup_replication replication);

/* Its value: a boolean as PostgreSQL reads them, or "database". false: it is neither. */
bool startup_parse_replication(const char *value, enum startup_replication *out);

enum startup_kind {
	STARTUP_NEED_MORE,
	STARTUP_BAD,            /* a length or a content that cannot be; error_out says which */
	STARTUP_SSL,            /* SSLRequest */
	STARTUP_GSS,            /* GSSENCRequest */
	STARTUP_CANCEL,         /* CancelRequest */
	STARTUP_SESSION,        /* StartupMessage of protocol 3.x */
	STARTUP_OTHER_PROTOCOL, /* StartupMessage of a major version that is not 3 */
};

struct startup_param {
	const char *name;
	const char *value;
};

/* All pointers lead into the packet. */
struct startup {
	size_t size; /* bytes of the packet, for the caller to consume */
	uint16_t major;
	uint16_t minor;
	/* Of user, database, options and replication the last one counts, as in PostgreSQL. */
	const char *user;                                /* NULL when absent; "" never */
	const char *database;                            /* absent: the user's name */
	const char *options;                             /* the `options` parameter or NULL */
	const char *replication;                         /* value or NULL */
	struct startup_param params[STARTUP_PARAMS_MAX]; /* the rest: settings, as they came */
	size_t n_params;
	const char *unknown_pq[16]; /* names with _pq_. : protocol options we do not know */
	size_t n_unknown_pq;
	/* CancelRequest: */
	uint32_t cancel_pid;
	const uint8_t *cancel_key; /* 4 bytes in protocol 3.0, 4 to 256 in 3.2 */
	size_t cancel_key_length;
};

/*
 * Reads one packet from the start of data[0..length). The length field is judged as soon as its
 * four bytes are there (8 to STARTUP_PACKET_MAX), so NEED_MORE never waits for more than that;
 * the contents are judged when the packet is whole. On STARTUP_BAD *error_out is a text for the
 * client, otherwise NULL. A session without a user is STARTUP_SESSION with `user` NULL (28000).
 */
enum startup_kind startup_parse(const uint8_t *data, size_t length, struct startup *out,
				const char **error_out);

/*
 * The minor version that is spoken with who sent this StartupMessage: what was asked for, or the
 * newest we know. NegotiateProtocolVersion is due when it is less than that, or when there are
 * protocol options (postmaster.c:ProcessStartupPacket).
 */
uint16_t startup_agreed_minor(const struct startup *startup);
bool startup_needs_negotiation(const struct startup *startup);

/*
 * Takes the next setting out of an `options` string ("-c name=value --name=value -cname=value",
 * backslash quotes the next character; postgres.c:process_postgres_switches and
 * pg_split_opts). *at is moved forward in every call that does not answer END. In names
 * '-' becomes '_'. Both outputs are NUL-terminated whatever the answer, cut where TOO_LONG;
 * name_size is at least 2. To PostgreSQL anything but SETTING and END is fatal for the login.
 */
enum startup_option_result {
	STARTUP_OPTION_SETTING, /* name and value are filled */
	STARTUP_OPTION_END,
	STARTUP_OPTION_BAD, /* another switch or argument, an empty name, no value */
	STARTUP_OPTION_TOO_LONG,
};

enum startup_option_result startup_next_option(const char **at, char *name_out, size_t name_size,
					       char *value_out, size_t value_size);

#endif
