/*
 * Names of the protocol's messages, for logs, traces and `SHOW` output. Nothing here decides
 * anything: which types are allowed where is wire/frame's and the session's business.
 * Pure; any thread.
 */

#include "wire/message.h"

#include <stddef.h>

static const char *const frontend_names[256] = {
	[MSG_F_BIND] = "Bind",
	[MSG_F_CLOSE] = "Close",
	[MSG_F_COPY_DATA] = "CopyData",
	[MSG_F_COPY_DONE] = "CopyDone",
	[MSG_F_COPY_FAIL] = "CopyFail",
	[MSG_F_DESCRIBE] = "Describe",
	[MSG_F_EXECUTE] = "Execute",
	[MSG_F_FLUSH] = "Flush",
	[MSG_F_FUNCTION_CALL] = "FunctionCall",
	[MSG_F_PARSE] = "Parse",
	[MSG_F_PASSWORD] = "PasswordMessage",
	[MSG_F_QUERY] = "Query",
	[MSG_F_SYNC] = "Sync",
	[MSG_F_TERMINATE] = "Terminate",
};

static const char *const backend_names[256] = {
	[MSG_B_AUTHENTICATION] = "Authentication",
	[MSG_B_BACKEND_KEY_DATA] = "BackendKeyData",
	[MSG_B_BIND_COMPLETE] = "BindComplete",
	[MSG_B_CLOSE_COMPLETE] = "CloseComplete",
	[MSG_B_COMMAND_COMPLETE] = "CommandComplete",
	[MSG_B_COPY_BOTH] = "CopyBothResponse",
	[MSG_B_COPY_DATA] = "CopyData",
	[MSG_B_COPY_DONE] = "CopyDone",
	[MSG_B_COPY_IN] = "CopyInResponse",
	[MSG_B_COPY_OUT] = "CopyOutResponse",
	[MSG_B_DATA_ROW] = "DataRow",
	[MSG_B_EMPTY_QUERY] = "EmptyQueryResponse",
	[MSG_B_ERROR] = "ErrorResponse",
	[MSG_B_FUNCTION_RESULT] = "FunctionCallResponse",
	[MSG_B_NEGOTIATE_VERSION] = "NegotiateProtocolVersion",
	[MSG_B_NO_DATA] = "NoData",
	[MSG_B_NOTICE] = "NoticeResponse",
	[MSG_B_NOTIFICATION] = "NotificationResponse",
	[MSG_B_PARAMETER_DESCRIPTION] = "ParameterDescription",
	[MSG_B_PARAMETER_STATUS] = "ParameterStatus",
	[MSG_B_PARSE_COMPLETE] = "ParseComplete",
	[MSG_B_PORTAL_SUSPENDED] = "PortalSuspended",
	[MSG_B_READY] = "ReadyForQuery",
	[MSG_B_ROW_DESCRIPTION] = "RowDescription",
};

const char *message_frontend_name(unsigned char type)
{
	return frontend_names[type] != NULL ? frontend_names[type] : "unknown";
}

const char *message_backend_name(unsigned char type)
{
	return backend_names[type] != NULL ? backend_names[type] : "unknown";
}
