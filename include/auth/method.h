#ifndef POINTSMAN_AUTH_METHOD_H
#define POINTSMAN_AUTH_METHOD_H

/* How clients prove who they are: `auth.type`. */
enum auth_type {
	AUTH_TRUST,
	AUTH_PASSWORD, /* in clear text */
	AUTH_MD5,      /* users whose secret is a SCRAM one log in by SCRAM */
	AUTH_SCRAM,
	AUTH_CERT,   /* by a client certificate alone */
	AUTH_HBA,    /* as the first fitting rule of the hba file says */
	AUTH_PEER,   /* in an hba file only: by the user of the operating system */
	AUTH_REJECT, /* the same: not at all */
};

/* "trust", "password", "md5", "scram-sha-256", "cert", "hba", "peer", "reject". */
const char *auth_type_name(enum auth_type type);

#endif
