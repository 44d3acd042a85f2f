#ifndef POINTSMAN_ADMIN_TERMINAL_PRIVATE_H
#define POINTSMAN_ADMIN_TERMINAL_PRIVATE_H

#include "admin/terminal.h"

/* Between terminal.c and terminal_messages.c. */

/* Longer messages are refused: nothing that the console understands comes near. */
#define TERMINAL_MESSAGE_MAX 65536
/* Prepared statements, and portals, of one session. */
#define TERMINAL_NAMES_MAX   256

/* One packet of the start-up, one message: how many bytes were used. The session may be over
 * afterwards. */
size_t terminal_take_packet(struct terminal *terminal, const uint8_t *data, size_t length);
size_t terminal_take_message(struct terminal *terminal, const uint8_t *data, size_t length);

/* The next statement of the script, or its end. */
void terminal_run_script(struct terminal *terminal);

/* Sends the result of terminal->job, which is done. */
void terminal_deliver(struct terminal *terminal);

void terminal_drop_all_portals(struct terminal *terminal);

/* A copy of text from the network in characters that can be shown; NULL without memory. */
char *terminal_clean_copy(const char *text);

#endif
