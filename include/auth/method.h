#ifndef POINTSMAN_AUTH_METHOD_H
#define POINTSMAN_AUTH_METHOD_H

/* How clients prove who they are: `auth.type`. */
enum auth_type {
	AUTH_TRUST,
	AUTH_PASSWORD, /* in clear text */
	AUTH_MD5,      /* users whose secret is a SCRAM one log in by SCRAM */
	AUTH_SCRAM,
};

/* "trust", "password", "md5", "scram-sha-256". */
const char *auth_type_name(enum auth_type type);

#endif
