/**
 * Questions that may take long, answered on a thread of their own, so that nothing waits for them: no op, no heartbeat, no
 * other client's messages. Owns the worker; what is answered is `lib/chat`'s.
 */
import type { LongQuery, OpId, QueryReply, Refusal } from "../../lib/protocol/messages.ts";
import type { QueryOrder, QueryReport } from "./query-worker.ts";

/** Within the executable, modules are where they were in the project, seen from the one that all others are part of. */
const workerUrl = new URL(
  import.meta.url.startsWith("file:///$bunfs/") ? "./cmd/chatd/query-worker.ts" : "./query-worker.ts",
  import.meta.url,
);

type Answer = QueryReply | Refusal;

interface Waiting {
  readonly request: number;
  readonly resolve: (answer: Answer) => void;
}

export class QueryThread {
  readonly #worker = new Worker(workerUrl);
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #log: (message: string) => void;
  /** Seen by the other thread at once, before what it has been ordered and has not begun. */
  readonly #told = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #asked = 0;
  #stopping = false;

  /** `failed` is told when the thread is no more: then the process should end. */
  constructor(log: (message: string) => void, failed: (error: Error) => void) {
    this.#log = log;
    this.#worker.onmessage = ({ data }: MessageEvent<QueryReport>) => this.#take(data);
    this.#worker.onerror = ({ message }) => {
      this.#closed.resolve();
      failed(new Error(`the thread that answers questions has failed: ${message}`));
    };
    // A process lives as long as it serves, not as long as this.
    this.#worker.unref();
    this.#order({ type: "begin", stopping: this.#told });
  }

  /** This database, which is in use already, is the state from now on; null: there is none for the time being. */
  read(path: string | null): void {
    this.#order(path === null ? { type: "close" } : { type: "open", path });
  }

  /** Of the state as it is when this is called, or a little later. `account`: whose messages. */
  answer(query: LongQuery, account: OpId | null): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const number = ++this.#asked;
    this.#waiting.set(number, { request: query.request, resolve });
    this.#order({ type: "ask", number, query, account });
    return promise;
  }

  /** Resolves when the database is closed. What waits is not answered any more: who has asked it is gone. */
  async stop(): Promise<void> {
    this.#worker.ref();
    this.#stopping = true;
    Atomics.store(this.#told, 0, 1);
    this.#order({ type: "close" });
    await this.#closed.promise;
    this.#worker.terminate();
  }

  #order(order: QueryOrder): void {
    this.#worker.postMessage(order);
  }

  #take(report: QueryReport): void {
    if (report.type === "closed") {
      if (this.#stopping) this.#closed.resolve();
      return;
    }
    const waiting = this.#waiting.get(report.number);
    this.#waiting.delete(report.number);
    if (waiting === undefined) return;
    if (report.type === "answer") return waiting.resolve(report.answer);
    if (!this.#stopping) this.#log(`a question could not be answered: ${report.message}`);
    const message = "This replica could not read its state: ask again, or another one.";
    waiting.resolve({ type: "refused", request: waiting.request, code: "unavailable", message });
  }
}
