/**
 * A client that believes nobody: it asks again under the same ids what was answered, at other replicas too, and compares
 * the answers. A process of its own, so that it can run where the replicas are. Arguments: their addresses with commas
 * between them, a seed, and `one-order` when there is one order at all times.
 */
import { Random } from "../../lib/base/random.ts";
import { formatOpId } from "../../lib/protocol/ids.ts";
import type { ChatMessage, ClientOp, Frame, FrameOf, OpReply } from "../../lib/protocol/messages.ts";
import type { DistributiveOmit } from "../../lib/protocol/state-machine.ts";
import { eachLine } from "../cluster/lines.ts";
import type { DoubterOrder, DoubterReport } from "./doubter-orders.ts";
import { Exchange } from "./exchange.ts";

type Op = DistributiveOmit<ClientOp, "request" | "seq" | "oldest">;
type Answer = OpReply | FrameOf<"refused">;

/** So many answered ops may be asked again: the replicas keep their results as long as `oldest` says. */
const doubtful = 20;
const name = "doubter";
const password = "password of the doubter";

class Doubter {
  readonly #session = crypto.randomUUID();
  readonly #token = crypto.getRandomValues(new Uint8Array(32));
  readonly #random: Random;
  readonly #ops: Op[] = [
    { type: "createAccount", user: name, password },
    { type: "createAccount", user: `${name}s-friend`, password },
    { type: "login", user: name, password },
  ];
  /** By seq less one; as long as the ops that were answered, which come in order. */
  readonly #answers: Answer[] = [];
  readonly #faults: string[] = [];
  #registered = false;
  #lastView = 0;
  #lastIndex = 0;
  #requests = 0;
  #askedAgain = 0;
  resting = false;

  constructor(
    private readonly addresses: readonly string[],
    seed: number,
    private readonly oneOrder: boolean,
  ) {
    this.#random = new Random(seed);
  }

  /** Until told to rest: one connection after the other, a few ops on each. */
  async live(): Promise<void> {
    let begun = false;
    for (;;) {
      if (this.resting && begun) await this.#rest();
      const exchange = await this.#connect(this.#random.pick(this.addresses));
      if (exchange === null) {
        await Bun.sleep(50);
        continue;
      }
      const steps = 1 + this.#random.below(10);
      for (let step = 0; step < steps && !this.resting; step++) {
        if (!(await this.#step(exchange))) break;
        await Bun.sleep(this.#random.below(40));
      }
      exchange.end();
      if (!begun && this.#answers.length >= 3) {
        begun = true;
        this.#report("begun");
      }
    }
  }

  /** What is new, or what was answered already. False when no answer came: to be asked again on another connection. */
  async #step(exchange: Exchange): Promise<boolean> {
    const answered = this.#answers.length;
    if (answered >= 3 && this.#random.chance(0.5)) return this.#doubt(exchange);
    if (answered === this.#ops.length)
      this.#ops.push({ type: "send", to: `${name}s-friend`, text: `doubt ${answered}` });
    const answer = await this.#ask(exchange, answered + 1);
    if (answer === null || (answer.type === "refused" && answer.code === "unavailable")) return false;
    if (answer.type === "refused")
      this.#faults.push(`op ${answered + 1} was refused: ${answer.code}: ${answer.message}`);
    else [this.#lastView, this.#lastIndex] = [answer.view, answer.index];
    this.#answers.push(answer);
    return true;
  }

  async #doubt(exchange: Exchange): Promise<boolean> {
    const answered = this.#answers.length;
    const seq = answered - this.#random.below(Math.min(doubtful, answered));
    const first = this.#answers[seq - 1];
    const again = await this.#ask(exchange, seq);
    if (again === null || first === undefined) return false;
    if (again.type === "refused" && again.code === "unavailable") return true;
    this.#askedAgain++;
    const [before, now] = [this.#comparable(first), this.#comparable(again)];
    if (before !== now) this.#faults.push(`op ${this.#session}/${seq} was answered ${before}, and then ${now}`);
    if (this.oneOrder && again.type !== "refused" && !again.duplicate) {
      this.#faults.push(`op ${this.#session}/${seq} was done, and is not told to be a duplicate`);
    }
    return true;
  }

  /** What must be the same each time. Apart from each other, replicas give one op different places, to be merged. */
  #comparable(answer: Answer): string {
    const id = answer.type === "sent" ? formatOpId(answer.id) : "";
    const code = answer.type === "refused" ? answer.code : "";
    const place = this.oneOrder && answer.type !== "refused" ? answer.index : "";
    const at = this.oneOrder && answer.type === "sent" ? answer.at : "";
    return JSON.stringify({ type: answer.type, id, code, place, at });
  }

  async #ask(exchange: Exchange, seq: number): Promise<Answer | null> {
    const op = this.#ops[seq - 1];
    if (op === undefined) throw new RangeError(`there is no op ${seq}`);
    const oldest = Math.max(1, Math.min(seq, this.#answers.length - doubtful));
    const request = ++this.#requests;
    return exchange.ask<Answer>({ ...op, request, seq, oldest } as ClientOp, answersTo(request));
  }

  /** A connection on which the session is open; null if that cannot be had here and now. */
  async #connect(address: string): Promise<Exchange | null> {
    const exchange = await Exchange.begin(address);
    const request = ++this.#requests;
    const opened = await exchange?.ask<FrameOf<"sessionOpened"> | FrameOf<"refused">>(
      {
        ...{ type: "openSession", request, session: this.#session, token: this.#token, create: !this.#registered },
        ...{ lastView: this.#lastView, lastIndex: this.#lastIndex, lastMessageIndex: 0 },
      },
      answersTo(request),
    );
    if (opened?.type === "sessionOpened") {
      this.#registered = true;
      return exchange;
    }
    if (opened?.type === "refused" && opened.code !== "unavailable" && this.oneOrder) {
      this.#faults.push(`the session was refused: ${opened.code}: ${opened.message}`);
    }
    exchange?.end();
    return null;
  }

  /** Nothing is wrong with the replicas now: all must have everything, once. */
  async #rest(): Promise<void> {
    for (const address of this.addresses) {
      for (let tries = 1; ; tries++) {
        const exchange = await this.#connect(address);
        const found = exchange === null ? null : await this.#everything(exchange);
        exchange?.end();
        if (found !== null) {
          this.#compare(found, address);
          break;
        }
        if (tries === 100) {
          this.#faults.push(`${address} does not say what it has`);
          break;
        }
        await Bun.sleep(100);
      }
    }
    this.#report("resting");
    while (this.resting) await Bun.sleep(20);
  }

  async #everything(exchange: Exchange): Promise<ChatMessage[] | null> {
    const all: ChatMessage[] = [];
    for (let before: number | null = null; ;) {
      const request = ++this.#requests;
      const page: FrameOf<"messageList"> | FrameOf<"refused"> | null = await exchange.ask(
        { type: "messages", request, with: null, before, limit: 200, unread: false },
        answersTo(request),
        10_000,
      );
      if (page?.type !== "messageList") return null;
      all.push(...page.messages);
      before = page.messages.at(-1)?.index ?? null;
      if (!page.more || before === null) return all;
    }
  }

  #compare(found: readonly ChatMessage[], address: string): void {
    const counts = new Map<string, number>();
    for (const { text } of found) counts.set(text, (counts.get(text) ?? 0) + 1);
    for (const [at, op] of this.#ops.entries()) {
      if (op.type !== "send") continue;
      const count = counts.get(op.text) ?? 0;
      const answered = this.#answers[at]?.type === "sent";
      if (count > 1 || (answered && count < 1)) this.#faults.push(`${address} has "${op.text}" ${count} times`);
    }
  }

  #report(state: DoubterReport["state"]): void {
    const acknowledged = this.#answers.length;
    const report: DoubterReport = { state, acknowledged, askedAgain: this.#askedAgain, faults: this.#faults.splice(0) };
    console.log(JSON.stringify(report));
  }
}

const answersTo = (request: number) => (frame: Frame) => "request" in frame && frame.request === request;

const [addresses = "", seed = "1", order = ""] = Bun.argv.slice(2);
const doubter = new Doubter(addresses.split(","), Number(seed), order === "one-order");
void eachLine(Bun.stdin.stream(), (line) => {
  doubter.resting = (line as DoubterOrder) === "rest";
}).then(() => process.exit(0));
await doubter.live();
