#ifndef POINTSMAN_WIRE_MESSAGE_H
#define POINTSMAN_WIRE_MESSAGE_H

/*
 * Message types of protocol 3 (PostgreSQL documentation, "Message Formats"). The two directions
 * are separate alphabets that share letters.
 */

/* From a client ("frontend"). */
enum {
	MSG_F_BIND = 'B',
	MSG_F_CLOSE = 'C',
	MSG_F_COPY_DATA = 'd',
	MSG_F_COPY_DONE = 'c',
	MSG_F_COPY_FAIL = 'f',
	MSG_F_DESCRIBE = 'D',
	MSG_F_EXECUTE = 'E',
	MSG_F_FLUSH = 'H',
	MSG_F_FUNCTION_CALL = 'F',
	MSG_F_PARSE = 'P',
	MSG_F_PASSWORD = 'p', /* and SASLInitialResponse, SASLResponse, GSSResponse */
	MSG_F_QUERY = 'Q',
	MSG_F_SYNC = 'S',
	MSG_F_TERMINATE = 'X',
};

/* From a server ("backend"). */
enum {
	MSG_B_AUTHENTICATION = 'R',
	MSG_B_BACKEND_KEY_DATA = 'K',
	MSG_B_BIND_COMPLETE = '2',
	MSG_B_CLOSE_COMPLETE = '3',
	MSG_B_COMMAND_COMPLETE = 'C',
	MSG_B_COPY_BOTH = 'W',
	MSG_B_COPY_DATA = 'd',
	MSG_B_COPY_DONE = 'c',
	MSG_B_COPY_IN = 'G',
	MSG_B_COPY_OUT = 'H',
	MSG_B_DATA_ROW = 'D',
	MSG_B_EMPTY_QUERY = 'I',
	MSG_B_ERROR = 'E',
	MSG_B_FUNCTION_RESULT = 'V',
	MSG_B_NEGOTIATE_VERSION = 'v',
	MSG_B_NO_DATA = 'n',
	MSG_B_NOTICE = 'N',
	MSG_B_NOTIFICATION = 'A',
	MSG_B_PARAMETER_DESCRIPTION = 't',
	MSG_B_PARAMETER_STATUS = 'S',
	MSG_B_PARSE_COMPLETE = '1',
	MSG_B_PORTAL_SUSPENDED = 's',
	MSG_B_READY = 'Z',
	MSG_B_ROW_DESCRIPTION = 'T',
};

/* Authentication request codes (AuthenticationXXX). */
enum {
	AUTH_REQ_OK = 0,
	AUTH_REQ_PASSWORD = 3,
	AUTH_REQ_MD5 = 5,
	AUTH_REQ_SASL = 10,
	AUTH_REQ_SASL_CONTINUE = 11,
	AUTH_REQ_SASL_FINAL = 12,
};

/* The status byte of ReadyForQuery. */
enum {
	TXN_IDLE = 'I',
	TXN_OPEN = 'T',
	TXN_FAILED = 'E'
};

/* "Query", "DataRow", ...; "unknown" for a byte that is no message of that direction. */
const char *message_frontend_name(unsigned char type);
const char *message_backend_name(unsigned char type);

#endif
