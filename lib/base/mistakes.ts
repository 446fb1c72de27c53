/**
 * Known ways to get a replicated log wrong, as switches in the real code: `globalThis.mistaken?.("name")` is true where
 * the simulator makes that mistake, to see whether its judge notices (`bun run sim --mutations`). Only `lib/sim` makes
 * any. It is a property of the global object because the build of the product drops the calls by that name
 * (`--drop=globalThis.mistaken` in `cmd/tasks/compile.ts`): there, nothing of this is left.
 */

declare global {
  /** Whether this mistake is being made; undefined unless the simulator makes one. */
  var mistaken: ((mistake: Mistake) => boolean) | undefined;
}

/** Each name says what the code does wrong; the text says what it should do. */
export const mistakes = {
  "longest log wins": "logs are compared by (view, index), never by length alone",
  "commit on one disk": "an entry commits when it is on the disk of every member",
  "ack before fsync": "a member acks what is on its disk, not what it was sent",
  "volatile promise": "a promise is on disk before it is given",
  "cold one goes on alone": "after a total stop, who could have been in the last view must be there",
  "attempt taken for formed": "a view has formed when its ACT is there, not with its VIEW",
  "newview applied again": "a repeated NEWVIEW for the installed view is only answered again",
  "no ask": "who misses the primary asks the others before it takes their promises",
  "truncates at damage": "what was durable and cannot be read is damage, not the end of the log",
  "ack after failed fsync": "after a failed fsync nothing is acknowledged any more",
  "trusts the page cache": "what is read at the start is synced before it is believed",
  "dedup by highest seq": "what was applied is a set of seqs: forks leave gaps that are filled later",
  "wiped disk counts": "a replica is known by its disk's uuid, not by its pid alone",
  "append supersedes": "within a view an APPEND that comes again replaces nothing",
  "name resolved at apply": "an op names an account by id; whose a name is changes when forks meet",
  "one edit wins": "a draft that was edited on both sides of a partition is kept in both versions",
  "damaged one votes": "a log with damage is in no base and no majority until it is repaired",
  "hung one waits": "a replica whose disk hung goes on by itself when the disk answers",
  "yields to a heartbeat": "a lesser view is followed, and a later one given up for it, only after it has answered",
  "commit without act": "commit moves into a view only with its ACT",
  "forks forgotten": "what a fork holds is proposed again",
  "gap in forwarding": "forwarded ops are taken in the order of their stream",
  "unavailable although sent": "what may have been proposed is never refused",
  "hot after a pause": "who stood still may have missed a view, and proves nothing",
  "changes while provisional": "the config is changed from a view that awaits nobody who may hold more",
  "attempted config dropped": "a change of the config that was attempted and may have formed is carried on",
  "half is a majority": "a majority is more than half",
  "copies of the config": "copies are the members of the view, not of the config",
  "compaction past a missing replica": "what a replica of the config may still need is not deleted",
  "missed is not pushed": "what came while a session was between connections is pushed when it resumes",
  "unheard counts as seen": "what was pushed to a client that is not heard any more has not arrived",
  "unanswered not sent again": "what has no answer is sent again on every new connection",
  "expiry beside forks": "no session expires while a replica is missing or a fork is not merged",
  "forgotten at once": "a session is closed on every replica before it is forgotten",
  "waits behind its fork":
    "a fork behind the end of the log that is followed is left at once, on the word of the primary",
  "any end is the end": "who lags behind may not say where the log of a view ends: only who leads it",
  "state ahead of the log": "a learner applies what is on its own disk",
  "pending crosses over": "what was prepared from a fork is not proposed on another lineage",
  "waits for the dead": "whoever is left goes on without a primary that is dead, for good perhaps",
  "followed from below the floor": "a lineage that departs from what is final here is not followed",
} as const;

export type Mistake = keyof typeof mistakes;

/** Makes one mistake everywhere in this process, or none. */
export function makeMistake(mistake: Mistake | null): void {
  globalThis.mistaken = mistake === null ? undefined : (asked) => asked === mistake;
}
