/**
 * The other thread of `query-thread.ts`: answers questions that may take long from the state in a file, over a connection
 * that can only read, one after the other. Sees what was committed when it begins. An entry point of the build.
 */
import { Database } from "bun:sqlite";
import { openReader, type OpenReader } from "../../lib/chat/reader.ts";
import type { LongQuery, OpId, QueryReply, Refusal } from "../../lib/protocol/messages.ts";

/** What the worker is told. */
export type QueryOrder =
  /** First of all. Its only number is not 0 from when it stops on: what is asked still is not worth an answer then. */
  | { readonly type: "begin"; readonly stopping: Int32Array }
  /** From now on this is the state; what was open before is closed. */
  | { readonly type: "open"; readonly path: string }
  | { readonly type: "close" }
  | { readonly type: "ask"; readonly number: number; readonly query: LongQuery; readonly account: OpId | null };

export type QueryReport =
  | { readonly type: "answer"; readonly number: number; readonly answer: QueryReply | Refusal }
  | { readonly type: "failed"; readonly number: number; readonly message: string }
  | { readonly type: "closed" };

declare const self: Worker;

/** KiB: the other connection has the pages that are written to, the operating system all of them. */
const cacheKib = 8192;

let stopping: Int32Array = new Int32Array(1);
let open: { readonly database: Database; readonly reader: OpenReader } | null = null;

function close(): void {
  open?.reader.close();
  open?.database.close();
  open = null;
}

function openState(path: string): void {
  close();
  const database = new Database(path, { readonly: true, strict: true });
  for (const setting of ["busy_timeout = 5000", `cache_size = -${cacheKib}`, "temp_store = MEMORY"]) {
    database.run(`PRAGMA ${setting}`);
  }
  open = { database, reader: openReader(database) };
}

const tell = (report: QueryReport): void => self.postMessage(report);

function answer({ number, query, account }: Extract<QueryOrder, { type: "ask" }>): void {
  try {
    if (Atomics.load(stopping, 0) !== 0) return tell({ type: "failed", number, message: "this replica stops" });
    if (open === null) return tell({ type: "failed", number, message: "its state is being replaced" });
    tell({ type: "answer", number, answer: open.reader.answer(query, account) });
  } catch (error) {
    tell({ type: "failed", number, message: error instanceof Error ? error.message : String(error) });
  }
}

self.onmessage = ({ data: order }: MessageEvent<QueryOrder>) => {
  if (order.type === "begin") return void (stopping = order.stopping);
  if (order.type === "open") return openState(order.path);
  if (order.type === "ask") return answer(order);
  close();
  tell({ type: "closed" });
};
