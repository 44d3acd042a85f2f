#ifndef POINTSMAN_SESSION_STAGE_H
#define POINTSMAN_SESSION_STAGE_H

/*
 * The request chain: what a request passes, in this order. A stage is a function of the request
 * alone. It returns one of four results and never calls another stage; before STAGE_WAIT it has
 * stored who resumes it. src/session/request.c has the only loop over them.
 */

#define STAGES(X)                                                                                \
	X(ADMIT, admit)       /* may it be run at all */                                         \
	X(CLASSIFY, classify) /* texts to verdicts, hints */                                     \
	X(GOVERN, govern)     /* what the mode and the rules forbid; what we answer ourselves */ \
	X(ROUTE, route)       /* which node */                                                   \
	X(BORROW, borrow)     /* a server of that node */                                        \
	X(PREPARE, prepare)   /* the session's settings on that server */                        \
	X(RELAY, relay)       /* the request there, the replies back */                          \
	X(FINISH, finish)     /* give the server back or keep it; the books */

enum stage {
#define STAGE_ENUM(upper, lower) STAGE_##upper,
	STAGES(STAGE_ENUM)
#undef STAGE_ENUM
	STAGE_COUNT
};

enum stage_result {
	STAGE_NEXT,  /* passed */
	STAGE_WAIT,  /* something will call request_resume() */
	STAGE_AGAIN, /* back to the route stage: the node that was chosen cannot be had */
	STAGE_REPLY, /* the request has its answer: straight to finish */
	STAGE_CLOSE, /* the session is over; the client has been told, or cannot be */
};

const char *stage_name(enum stage stage);

#endif
