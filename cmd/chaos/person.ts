/**
 * Somebody who chats through one `chatd chat --json` after another: sends, reads, marks, deletes, and enters into the
 * ledger what was acknowledged and what was refused. Notes what no client may see. Strikes nobody.
 */
import { Random } from "../../lib/base/random.ts";
import { passwordOf } from "../cluster/inquiry.ts";
import type { JsonClient } from "../cluster/json-client.ts";
import type { Ledger } from "../cluster/ledger.ts";
import type { Timeline } from "./timeline.ts";

/** So many commands without an answer at the most. */
const openMax = 24;
/** The mean time between two commands. */
const paceMs = 35;
/** Ids of messages that it may mark or delete. */
const knownMax = 200;
/** What a client says when it ends because no replica in reach knows its session. */
const leftBehind = "does not accept this session";
/** How long it may take from the last answers of such a client to its end. */
const endsWithinMs = 5_000;

interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly message?: string;
}

export interface Society {
  readonly ledger: Ledger;
  readonly timeline: Timeline;
  readonly users: readonly string[];
  /**
   * There is one order at all times (`quorum`). Otherwise a replica that was suspected, rightly or not, may be of
   * another mind until all are together again.
   */
  readonly oneOrder: boolean;
  /** A new client of the built executable; whom it asks first is drawn anew each time. */
  readonly newClient: () => JsonClient;
}

export class Person {
  #client: JsonClient | null = null;
  readonly #random: Random;
  readonly #open = new Map<number, { readonly what: string; readonly sinceMs: number }>();
  #numbers = 0;
  #known: string[] = [];
  /** What it has asked to be deleted: an answer to something asked before may still show it. */
  readonly #deleted = new Set<string>();
  /** Events of the client that were looked at. */
  #seen = 0;
  readonly #pushed = new Set<string>();
  #lastIndex = 0;
  #living: Promise<void> | null = null;
  #resting = false;
  #over = false;
  #rejoin: ReturnType<typeof setTimeout> | null = null;
  /** The end of the last client that was asked to. */
  #ending: Promise<void> = Promise.resolve();
  #frozen = false;

  constructor(
    readonly name: string,
    private readonly society: Society,
    seed: number,
  ) {
    this.#random = new Random(seed);
  }

  /** Signs in (the account is there) and chats until told to rest. */
  begin(): void {
    this.#resting = false;
    this.#living ??= this.#live().finally(() => (this.#living = null));
  }

  /** Asks nothing more. Resolves when everything was answered; a fault if that takes longer than `withinMs`. */
  async rest(withinMs: number): Promise<void> {
    this.#resting = true;
    this.#thaw();
    const deadlineMs = performance.now() + withinMs;
    while (this.#living !== null || this.#open.size > 0) {
      if (performance.now() > deadlineMs) {
        const [oldest] = this.#open.values();
        const waits = oldest === undefined ? "it does not get signed in" : `"${oldest.what}" has no answer`;
        throw new Error(`${this.name}: ${waits} after ${withinMs} ms in which nothing was wrong`);
      }
      await Bun.sleep(10);
    }
  }

  /** The client process is killed, asked to end, or stands still; what it did not hear of stays unknown. */
  strike(kind: "client-kill" | "client-end" | "client-freeze", forMs: number): boolean {
    const client = this.#client;
    if (client === null || this.#rejoin !== null) return false;
    if (kind === "client-freeze") {
      this.#frozen = true;
      client.signal("SIGSTOP");
      this.#rejoin = setTimeout(() => this.#thaw(), forMs);
      return true;
    }
    this.#client = null;
    this.#look(client);
    if (kind === "client-kill") client.kill();
    else this.#ending = this.#end(client);
    this.#rejoin = setTimeout(() => (this.#rejoin = null), forMs);
    return true;
  }

  /** Ends for good; resolves with the exit code of the client. */
  async leave(): Promise<void> {
    this.#over = true;
    this.#thaw();
    const client = this.#client;
    this.#client = null;
    if (client !== null) await this.#end(client);
  }

  kill(): void {
    this.#over = true;
    if (this.#rejoin !== null) clearTimeout(this.#rejoin);
    this.#client?.kill();
  }

  #thaw(): void {
    if (this.#rejoin !== null) clearTimeout(this.#rejoin);
    this.#rejoin = null;
    if (this.#frozen) this.#client?.signal("SIGCONT");
    this.#frozen = false;
  }

  async #live(): Promise<void> {
    while (!this.#over && !(this.#resting && this.#client !== null)) {
      if (this.#rejoin !== null) await Bun.sleep(20);
      else if (this.#client === null) await this.#join();
      else if (this.#resting) return;
      else {
        await Bun.sleep(-Math.log(1 - this.#random.fraction()) * paceMs);
        if (this.#client !== null) this.#look(this.#client);
        if (this.#open.size < openMax && this.#client !== null) this.#act(this.#client);
      }
    }
  }

  /** A new process and so a new session. It must get in at some time: nobody else has this name. */
  async #join(): Promise<void> {
    const { timeline, newClient } = this.society;
    // One that was asked to end has more to show until it has.
    await this.#ending;
    if (this.#over) return;
    const client = newClient();
    this.#client = client;
    this.#seen = 0;
    this.#pushed.clear();
    this.#lastIndex = 0;
    void client.ended.then((code) => this.#gone(client, code));
    const user = this.name;
    const password = passwordOf(user);
    for (;;) {
      const login = await client.do({ do: "login", user, password }).catch(() => null);
      if (login === null || login.ok) return;
      if (login.error === "unavailable") continue;
      if (await this.#isLeftBehind(client, login.error)) return;
      timeline.fault(`${user} cannot log in: ${login.error}: ${login.message}`);
      await Bun.sleep(1000);
    }
  }

  /** The process of this client has ended: nobody but this person may have done that. */
  #gone(client: JsonClient, code: number): void {
    if (this.#client !== client || this.#over) return;
    this.#client = null;
    const { timeline } = this.society;
    // A session of one side that the other side has not heard of yet.
    if (!this.society.oneOrder && client.stderr.includes(leftBehind)) {
      return timeline.count("sessions left behind by a partition");
    }
    timeline.fault(`the client of ${this.name} ended with exit ${code}: ${client.stderr.slice(-500)}`);
  }

  /**
   * The client ends because its session is one of the other side: what it had asked meanwhile is answered as what nobody
   * knows of, or never heard of, a moment before.
   */
  async #isLeftBehind(client: JsonClient, error: string): Promise<boolean> {
    if (this.society.oneOrder || (error !== "unknown" && error !== "unavailable")) return false;
    await Promise.race([client.ended, Bun.sleep(endsWithinMs)]);
    return client.stderr.includes(leftBehind);
  }

  async #end(client: JsonClient): Promise<void> {
    const { timeline } = this.society;
    const code = await client.end();
    this.#look(client);
    if (code !== 0) timeline.fault(`the client of ${this.name} ends with exit ${code}: ${client.stderr.slice(-500)}`);
  }

  #act(client: JsonClient): void {
    const draw = this.#random.fraction();
    if (draw < 0.8) return this.#track("send", this.#send(client));
    if (draw < 0.86) return this.#track("open", this.#openInbox(client));
    if (draw < 0.92) return this.#track("mark", this.#mark(client));
    if (draw < 0.95) return this.#track("delete", this.#delete(client));
    if (draw < 0.98) return this.#track("messages", this.#readBack(client));
    this.#track("inbox", client.do({ do: "inbox" }));
  }

  /** What is answered is done with; when the client ends first, nobody knows. */
  #track(what: string, work: Promise<unknown>): void {
    const number = ++this.#numbers;
    this.#open.set(number, { what, sinceMs: performance.now() });
    work
      .catch(() => this.society.timeline.count("unknown, because the client ended"))
      .finally(() => this.#open.delete(number));
  }

  async #send(client: JsonClient): Promise<void> {
    const { ledger, users } = this.society;
    const to = this.#random.pick(users.filter((user) => user !== this.name));
    const size = this.#random.chance(0.05) ? 1 + this.#random.below(3500) : 0;
    const reply = await ledger.attempt(client, this.name, to, "x".repeat(size));
    await this.#answered(client, "send", reply);
    if (reply.ok) this.#learn(reply.id);
  }

  async #openInbox(client: JsonClient): Promise<void> {
    const reply = await client.do({ do: "open", count: 1 + this.#random.below(20) });
    await this.#answered(client, "open", reply);
    if (!reply.ok) return;
    for (const message of reply.messages) {
      this.#learn(message.id);
      if (message.inbox) this.society.timeline.fault(`${this.name} opened ${message.id}, and it is still in the inbox`);
    }
  }

  async #mark(client: JsonClient): Promise<void> {
    const ids = this.#some();
    if (ids.length === 0) return;
    const reply = await client.do({ do: "mark", ids, read: true });
    await this.#answered(client, "mark", reply);
    if (reply.ok) this.society.ledger.marked(this.name, ids);
  }

  async #delete(client: JsonClient): Promise<void> {
    const ids = this.#some();
    if (ids.length === 0) return;
    this.#known = this.#known.filter((id) => !ids.includes(id));
    for (const id of ids) this.#deleted.add(id);
    const { ledger } = this.society;
    // Until the answer is there, and for ever if it never comes.
    ledger.deleted(this.name, ids, "unknown");
    const reply = await client.do({ do: "delete", ids });
    await this.#answered(client, "delete", reply);
    if (reply.ok) ledger.deleted(this.name, ids, "done");
  }

  /** What was acknowledged to this client is there when it asks. */
  async #readBack(client: JsonClient): Promise<void> {
    const { ledger, users, timeline, oneOrder } = this.society;
    const to = this.#random.pick(users.filter((user) => user !== this.name));
    const sent = await ledger.attempt(client, this.name, to, "to be read back");
    await this.#answered(client, "send", sent);
    if (!sent.ok) return;
    const found = await client.do({ do: "messages", with: to, limit: 200 });
    if (!found.ok) return this.#answered(client, "messages", found);
    if (found.messages.some(({ id }) => id === sent.id) || !oneOrder) return;
    timeline.fault(`${this.name} does not find ${sent.id} just after its acknowledgement`);
  }

  /** Refusals that a command may get. */
  async #answered(client: JsonClient, what: string, reply: Answer): Promise<void> {
    const { oneOrder, timeline } = this.society;
    if (reply.ok) return timeline.count(`acknowledged: ${what}`);
    const error = reply.error ?? "";
    timeline.count(`refused: ${what}: ${error}`);
    if (error === "unavailable" && oneOrder) return;
    if (await this.#isLeftBehind(client, error)) return;
    // The other side may not have what this one was shown; a deletion may be done on the other side.
    if ((error === "no-such-message" || error === "not-logged-in") && !oneOrder) return;
    timeline.fault(`${this.name}: ${what} was refused: ${error}: ${reply.message ?? ""}`);
  }

  #learn(id: string): void {
    if (this.#deleted.has(id)) return;
    if (this.#known.length < knownMax) this.#known.push(id);
    else this.#known[this.#random.below(knownMax)] = id;
  }

  #some(): string[] {
    const count = Math.min(1 + this.#random.below(5), this.#known.length);
    return [...new Set(Array.from({ length: count }, () => this.#random.pick(this.#known)))];
  }

  /** Events since the last look: each message once, in the order of the log. */
  #look(client: JsonClient): void {
    const { timeline, oneOrder } = this.society;
    for (; this.#seen < client.events.length; this.#seen++) {
      const event = client.events[this.#seen];
      if (event?.event !== "message") continue;
      timeline.count("pushed");
      if (this.#pushed.has(event.id)) timeline.fault(`${this.name} was shown ${event.id} twice`);
      this.#pushed.add(event.id);
      this.#learn(event.id);
      if (event.index < this.#lastIndex && oneOrder) {
        timeline.fault(`${this.name} was shown ${event.id} at ${event.index} after one at ${this.#lastIndex}`);
      }
      this.#lastIndex = event.index;
    }
    for (const stray of client.strays.splice(0)) timeline.fault(`${this.name} got a second reply: ${stray}`);
  }
}
