/* net/mailbox: order, waking, several senders at once, destruction. Run under tsan too. */

#include "net/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "unit.h"

#define SENDERS    2
#define PER_SENDER 20000

struct letter {
	struct mail mail;
	int sender;
	int number;
};

struct receiver {
	struct loop *loop;
	struct mailbox *mailbox;
	int next[SENDERS];
	int received;
	int discarded;
};

static struct receiver receiver;

static void set_up(void)
{
	receiver = (struct receiver){ .loop = loop_create() };
	ck_assert_ptr_nonnull(receiver.loop);
}

static void tear_down(void)
{
	mailbox_destroy(&receiver.mailbox, NULL, NULL);
	loop_destroy(&receiver.loop);
}

static void open_mailbox(mailbox_receive receive)
{
	receiver.mailbox = mailbox_create(receiver.loop, receive, &receiver);
	ck_assert_ptr_nonnull(receiver.mailbox);
}

static void post(int sender, int number)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	if (!letter)
		abort();
	letter->sender = sender;
	letter->number = number;
	letter->mail.kind = 7;
	mailbox_post(receiver.mailbox, &letter->mail);
}

/* Letters of one sender come in the order in which it posted them. */
static void receive(void *context, struct mail *mail)
{
	struct receiver *to = context;
	struct letter *letter = (struct letter *)mail;

	ck_assert_int_eq(mail->kind, 7);
	ck_assert_int_eq(letter->number, to->next[letter->sender]);
	to->next[letter->sender]++;
	to->received++;
	free(letter);
}

static void discard(void *context, struct mail *mail)
{
	struct receiver *to = context;
	struct letter *letter = (struct letter *)mail;

	ck_assert_int_eq(letter->number, to->next[letter->sender]++);
	to->discarded++;
	free(letter);
}

START_TEST(letters_come_in_order_on_the_loop)
{
	open_mailbox(receive);
	for (int i = 0; i < 3; i++)
		post(0, i);
	ck_assert_int_eq(receiver.received, 0);
	loop_run_once(receiver.loop, true);
	ck_assert_int_eq(receiver.received, 3);
	loop_run_once(receiver.loop, false);
	post(0, 3);
	loop_run_once(receiver.loop, true);
	ck_assert_int_eq(receiver.received, 4);
}
END_TEST

static void *send_all(void *context)
{
	for (int i = 0; i < PER_SENDER; i++)
		post((int)(intptr_t)context, i);
	return NULL;
}

/* A lost wake-up would leave this waiting until check's time-out. */
START_TEST(senders_on_other_threads)
{
	pthread_t threads[SENDERS];

	open_mailbox(receive);
	for (intptr_t i = 0; i < SENDERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_all, (void *)i), 0);
	while (receiver.received < SENDERS * PER_SENDER)
		loop_run_once(receiver.loop, true);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(receiver.received, SENDERS * PER_SENDER);
}
END_TEST

static void receive_and_post(void *context, struct mail *mail)
{
	int number = ((struct letter *)mail)->number;

	receive(context, mail);
	if (number < 5)
		post(0, number + 1);
}

/* Mail to oneself waits for the next batch, so that it cannot keep the loop for itself. */
START_TEST(posting_while_receiving)
{
	open_mailbox(receive_and_post);
	post(0, 0);
	for (int i = 1; i <= 6; i++) {
		loop_run_once(receiver.loop, true);
		ck_assert_int_eq(receiver.received, i);
	}
}
END_TEST

START_TEST(destroy_hands_out_what_is_left)
{
	open_mailbox(receive);
	for (int i = 0; i < 3; i++)
		post(0, i);
	mailbox_destroy(&receiver.mailbox, discard, &receiver);
	ck_assert_ptr_null(receiver.mailbox);
	ck_assert_int_eq(receiver.discarded, 3);
	loop_run_once(receiver.loop, false);
	ck_assert_int_eq(receiver.received, 0);
}
END_TEST

static void receive_and_destroy(void *context, struct mail *mail)
{
	receive(context, mail);
	if (receiver.received == 2) {
		post(0, 4);
		mailbox_destroy(&receiver.mailbox, discard, &receiver);
	}
}

START_TEST(destroy_out_of_the_receiver)
{
	open_mailbox(receive_and_destroy);
	for (int i = 0; i < 4; i++)
		post(0, i);
	loop_run_once(receiver.loop, true);
	ck_assert_int_eq(receiver.received, 2);
	ck_assert_int_eq(receiver.discarded, 3);
}
END_TEST

START_TEST(destroy_accepts_null_and_no_discard)
{
	struct letter letter = { 0 };

	mailbox_destroy(&receiver.mailbox, discard, NULL);
	open_mailbox(receive);
	mailbox_post(receiver.mailbox, &letter.mail);
	mailbox_destroy(&receiver.mailbox, NULL, NULL);
}
END_TEST

static Suite *mailbox_suite(void)
{
	Suite *suite = suite_create("net/mailbox");
	TCase *tc = tcase_create("mailbox");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, letters_come_in_order_on_the_loop);
	tcase_add_test(tc, senders_on_other_threads);
	tcase_add_test(tc, posting_while_receiving);
	tcase_add_test(tc, destroy_hands_out_what_is_left);
	tcase_add_test(tc, destroy_out_of_the_receiver);
	tcase_add_test(tc, destroy_accepts_null_and_no_discard);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(mailbox_suite)
