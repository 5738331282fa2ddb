/* The life of one node under leases: two workers, beat, a cancellation and a failover, under an adversarial clock.

   A step in atomic {} is one Lua script. Between two steps any other process may go on for as long as it likes: that is
   a worker that is paused, a call that is late, a clock that jumps. A lease may run out at any moment. A worker may die
   whenever it holds one, its call may be sent twice, and once the server may come back from a copy that lacks the last
   writes: the token counter goes back with it, what a worker remembers does not.

     spin -a lease.pml && cc -O2 -o pan pan.c && ./pan -N once   (ends: ./pan -a -f -N ends)
     spin -a -DFENCE=0 lease.pml ...   without the test of the token: once and holder must fail
     spin -a -DNONCE=0 lease.pml ...   with the token alone: holder must fail, for after a failover it is handed out again
     CANCEL=0 (scripts do not look whether a cancel was accepted), RISE=0 (a claim takes the token of the one before) and
     REAP=0 (nobody looks at leases that ran out) must fail as well: no property holds for want of a way to break it
*/
#ifndef FENCE
#define FENCE 1
#endif
#ifndef NONCE
#define NONCE 1
#endif
#ifndef CANCEL
#define CANCEL 1
#endif
#ifndef RISE
#define RISE 1
#endif
#ifndef REAP
#define REAP 1
#endif
#define WORKERS 2
#define LOST_LIMIT 2
#define NOBODY 0

mtype = { READY, RUNNING, DONE, FAILED, CANCELLED };

/* What is stored. */
mtype state = READY;
byte counter = 0;        /* the goal's fencing token */
byte lock_token = 0;
byte lock_nonce = NOBODY;
byte lost = 0;
bool cancelling = false;
byte commits = 0;        /* node.done in the history */

/* The world around it. */
bool expired = false;    /* the lease has run out, by Redis's clock */
byte nonces = 0;         /* each claim draws a new one, whatever the server remembers */

/* What must not be. */
bool stranger = false;   /* a commit was accepted from someone else than the holder */
bool after_end = false;  /* an ended node was changed */
bool after_cancel = false; /* a claim or a commit was accepted after a cancel */
byte highest = 0;        /* token handed out */
bool fell = false;       /* a token did not rise, and no failover explains it */

/* What the copy that the server may come back from holds: the state at one moment. */
bool copied = false;
bool failed_over = false;
mtype old_state;
byte old_counter, old_lock_token, old_lock_nonce, old_lost, old_commits;
bool old_cancelling;

#define ended (state == DONE || state == FAILED || state == CANCELLED)
#define refused (CANCEL && cancelling)
#define mine (lock_nonce != NOBODY && lock_token == token && (!NONCE || lock_nonce == nonce))

inline unlease() {
  lock_token = 0;
  lock_nonce = NOBODY;
  expired = false;
}

/* An attempt is over and was not accepted: another one, or the end. */
inline again() {
  lost++;
  if :: lost >= LOST_LIMIT -> state = FAILED :: else -> state = READY fi
}

/* commit.lua: judge, and complete. `nonce` and `token` are the caller's. */
inline commit() {
  atomic {
    if
    :: (FENCE -> mine : state == RUNNING || ended) && !refused ->
       if :: lock_nonce != nonce -> stranger = true :: else -> skip fi;
       if :: ended -> after_end = true :: else -> skip fi;
       if :: cancelling -> after_cancel = true :: else -> skip fi;
       commits++;
       state = DONE;
       unlease()
    :: else -> skip /* fenced, repeated or cancelling: nothing changes */
    fi
  }
}

active [WORKERS] proctype worker() {
  byte token = 0, nonce = NOBODY;
  bool renewed = false;
claim:
  atomic {
    if
    :: state == READY && !refused ->
       nonces++;
       nonce = nonces;
       counter = counter + RISE;
       token = counter;
       if :: token <= highest && !failed_over -> fell = true :: else -> skip fi;
       highest = token;
       lock_token = token;
       lock_nonce = nonce;
       expired = false;
       renewed = false;
       if :: cancelling -> after_cancel = true :: else -> skip fi;
       state = RUNNING
    :: ended -> goto over
    fi
  };
work: /* it may stand still here as long as it likes */
  if
  :: !renewed -> /* renew.lua: once, lest a node that never ends is a model that never ends */
     atomic {
       if :: mine && !cancelling -> expired = false :: else -> skip fi;
       renewed = true
     };
     goto work
  :: true -> commit(); goto claim
  :: true -> commit(); commit(); goto claim /* its reply was lost: the call is sent again */
  :: true -> atomic { /* it failed and is tried again; commit.lua: retry */
       if
       :: mine && !cancelling -> unlease(); again()
       :: else -> skip
       fi
     };
     goto claim
  :: goto claim /* SIGKILL: what took its place knows nothing of the lease */
  fi;
over:
  skip
}

/* The clock: a lease may run out at any moment, and one that nobody renews does run out. */
active proctype clock() {
  do
  :: atomic { state == RUNNING && !expired -> expired = true }
  :: atomic { ended -> break }
  od
}

/* reap.lua, and cancel.lua where a caller stopped halfway. */
active proctype beat() {
  do
  :: atomic {
       REAP && state == RUNNING && expired && !cancelling ->
       unlease();
       again()
     }
  :: atomic { cancelling && !ended -> state = CANCELLED; unlease() }
  :: atomic { ended && (copied == failed_over || !copied) -> break }
  od
}

/* cancel.lua in two slices; the caller may die between them. */
active proctype canceller() {
  if
  :: atomic { !ended -> cancelling = true };
     if
     :: atomic { !ended -> state = CANCELLED; unlease() }
     :: ended
     :: true
     fi
  :: true
  fi
}

/* A replica takes over that lacks the last writes. */
active proctype failover() {
  if
  :: atomic {
       copied = true;
       old_state = state; old_counter = counter; old_lock_token = lock_token; old_lock_nonce = lock_nonce;
       old_lost = lost; old_cancelling = cancelling; old_commits = commits
     };
     atomic {
       failed_over = true;
       state = old_state; counter = old_counter; lock_token = old_lock_token; lock_nonce = old_lock_nonce;
       lost = old_lost; cancelling = old_cancelling; commits = old_commits;
       old_state = READY; old_counter = 0; old_lock_token = 0; old_lock_nonce = NOBODY; old_lost = 0; /* fewer states */
       old_cancelling = false; old_commits = 0
     }
  :: true
  fi
}

/* I1: at most one accepted commit. */
ltl once { [] (commits <= 1) }
/* I14: a commit is accepted from the holder of the lease only. */
ltl holder { [] !stranger }
/* I2: nothing after the end. */
ltl final { [] !after_end }
/* I8: after an accepted cancel no claim and no DONE. */
ltl cancelled { [] !after_cancel }
/* I5: tokens rise. */
ltl rising { [] !fell }
/* I4: whatever happens, it comes to its end. */
ltl ends { <> ended }
