/*
 * Messages from any thread to one loop: a lock-free stack that all senders push on and that the
 * receiver takes whole and turns over, and an eventfd to wake it. Copies and frees no
 * message. Posting runs on any thread, all else on the receiver's.
 */

#include "net/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/panic.h"

/* Lifetime: the receiver's, until the end of the batch in which it is destroyed. */
struct mailbox {
	_Atomic(struct mail *) newest; /* linked from new to old */
	int wake_fd;

	/* The receiver's own. */
	struct loop *loop;
	struct event *event;
	mailbox_receive receive;
	void *context;
	struct mail *taken; /* linked from old to new */
};

/* Takes all that was posted, oldest first. */
static struct mail *take_all(struct mailbox *mailbox)
{
	struct mail *mail =
		atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
	struct mail *oldest = NULL;

	while (mail) {
		struct mail *older = mail->next;

		mail->next = oldest;
		oldest = mail;
		mail = older;
	}
	return oldest;
}

static void hand_out(struct mailbox *mailbox, mailbox_receive receive, void *context)
{
	struct mail *mail;

	while ((mail = mailbox->taken) != NULL) {
		mailbox->taken = mail->next;
		mail->next = NULL;
		receive(context, mail);
	}
}

/*
 * The counter is cleared before the stack is taken: mail that comes in between is either taken or
 * wakes us again. What is posted while mail is handed out waits for the next batch. The receiver
 * may destroy the mailbox, which leaves nothing taken.
 */
static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct mailbox *mailbox = context;
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) == -1 && errno == EINTR)
		;
	ASSERT(!mailbox->taken);
	mailbox->taken = take_all(mailbox);
	hand_out(mailbox, mailbox->receive, mailbox->context);
}

struct mailbox *mailbox_create(struct loop *loop, mailbox_receive receive, void *context)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

	if (!mailbox)
		return NULL;
	atomic_init(&mailbox->newest, NULL);
	mailbox->loop = loop;
	mailbox->receive = receive;
	mailbox->context = context;
	mailbox->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->wake_fd == -1)
		goto out;
	mailbox->event = event_new(loop_base(loop), mailbox->wake_fd, EV_READ | EV_PERSIST,
				   on_wake, mailbox);
	if (!mailbox->event || event_add(mailbox->event, NULL) == -1)
		goto out;
	return mailbox;

out:
	mailbox_destroy(&mailbox, NULL, NULL);
	return NULL;
}

void mailbox_destroy(struct mailbox **mailbox_ref, mailbox_receive discard, void *context)
{
	struct mailbox *mailbox = *mailbox_ref;

	if (!mailbox)
		return;
	*mailbox_ref = NULL;
	if (mailbox->event)
		event_free(mailbox->event);
	if (mailbox->wake_fd != -1)
		close(mailbox->wake_fd);
	/* Out of its own receiver there may be some left of what is being handed out. */
	if (discard)
		hand_out(mailbox, discard, context);
	mailbox->taken = take_all(mailbox);
	if (discard)
		hand_out(mailbox, discard, context);
	mailbox->taken = NULL;
	loop_defer_free(mailbox->loop, mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
	static const uint64_t one = 1;
	struct mail *before = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);

	do
		mail->next = before;
	while (!atomic_compare_exchange_weak_explicit(
		&mailbox->newest, &before, mail, memory_order_release, memory_order_relaxed));
	/*
	 * Whoever put something on top of other mail need not wake: who put the first will, or
	 * has. EAGAIN means a full counter: it is awake.
	 */
	if (before)
		return;
	while (write(mailbox->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR)
		;
}
