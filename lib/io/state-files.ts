/**
 * The state as a file in the data directory: carries out what the core orders to be done with it, on another thread
 * wherever that takes long. A snapshot made for others is `snapshot.sqlite`, one that is being received
 * `received.sqlite`; neither outlives the process.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SnapshotName } from "../protocol/fields.ts";
import type { SnapshotVerdict, StateFiles, StateOrder, StateReport } from "../protocol/state-files.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import { startCheckpoints, type Checkpoints } from "./checkpoints.ts";
import { finishTakeOver, removeDatabase, writeLogAnew } from "./state-copy.ts";

export interface StateFileOptions {
  /** The database; in use already. */
  readonly path: string;
  /** Opens it again after another took its place. */
  readonly openState: () => StateMachine;
  /** An empty one that is nowhere, for as long as there is none. */
  readonly openNothing: () => StateMachine;
  /** Why nothing can be made of another's state, by two numbers in the header of its database; null when it can be used. */
  readonly refusal: (format: StateHeader) => string | null;
  /** What came of an order. */
  readonly report: (report: StateReport) => void;
  /** The state is another one now; the one before is to be closed. */
  readonly replace: (state: StateMachine) => void;
  /** The disk failed: the process must end. */
  readonly failed: (error: Error) => void;
  readonly log: (level: "error" | "warn" | "info", message: string) => void;
}

export interface OpenStateFiles extends StateFiles {
  /** After the state has been closed. */
  stop(): Promise<void>;
}

/** Before the state is opened: completes what a crash has interrupted, makes durable or removes what it has left. */
export function prepareStateFiles(path: string): void {
  finishTakeOver(path);
  writeLogAnew(path);
  for (const name of Object.values(filesBeside(path))) removeDatabase(name);
}

const filesBeside = (path: string): { readonly snapshot: string; readonly received: string } => ({
  snapshot: join(dirname(path), "snapshot.sqlite"),
  received: join(dirname(path), "received.sqlite"),
});

export function openStateFiles(options: StateFileOptions): OpenStateFiles {
  return new Files(options);
}

class Files implements OpenStateFiles {
  readonly #options: StateFileOptions;
  readonly #checkpoints: Checkpoints;
  readonly #snapshot: string;
  readonly #received: string;
  #made: FileHandle | null = null;
  #receiving: number | null = null;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: StateFileOptions) {
    this.#options = options;
    const { snapshot, received } = filesBeside(options.path);
    this.#snapshot = snapshot;
    this.#received = received;
    this.#checkpoints = startCheckpoints(options.path, options.failed, {
      undone: (message) => options.log("warn", `no snapshot of the state was made: ${message}`),
    });
  }

  run(order: StateOrder): void {
    try {
      this.#run(order).catch((error: unknown) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#checkpoints.stop();
    await this.#drop();
    this.#discard();
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    const message = error instanceof Error ? error.message : String(error);
    this.#options.failed(new Error(`cannot work on the state ${this.#options.path}: ${message}`, { cause: error }));
  }

  #report(report: StateReport): void {
    if (!this.#stopped) this.#options.report(report);
  }

  async #run(order: StateOrder): Promise<void> {
    switch (order.type) {
      case "sync":
        return this.#inTurn(() => this.#sync());
      case "capture":
        return this.#inTurn(async () => this.#report({ type: "captured", snapshot: await this.#capture() }));
      case "read":
        return this.#read(order);
      case "drop":
        return this.#inTurn(() => this.#drop());
      case "receive":
        this.#discard();
        this.#receiving = openSync(this.#received, "wx+", 0o600);
        return;
      case "write":
        if (this.#receiving !== null) writeWhole(this.#receiving, order.bytes, order.offset);
        return;
      case "finish": {
        const verdict = await this.#judge(order.snapshot);
        return this.#report({ type: "finished", check: order.check, verdict });
      }
      case "discard":
        return this.#discard();
      case "install":
        return this.#inTurn(() => this.#install());
      case "abandon":
        this.#options.replace(this.#options.openNothing());
        return;
    }
  }

  /** One after the other: they are about the same file, and while another takes its place there is no log of it to be synced. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  async #sync(): Promise<void> {
    await this.#checkpoints.sync();
    this.#report({ type: "synced" });
  }

  async #capture(): Promise<SnapshotName | null> {
    await this.#drop();
    const copy = await this.#checkpoints.copyTo(this.#snapshot);
    if (copy === null) return null;
    const { index, view, sizeBytes, sha256 } = copy;
    const { buffer, byteOffset } = copy.chain;
    this.#made = await open(this.#snapshot, "r");
    const chain = new DataView(buffer, byteOffset).getBigUint64(0);
    return { position: { index, view, chain }, sizeBytes, sha256: new Uint8Array(sha256) };
  }

  async #read({ to, nonce, offset, bytesMax }: Extract<StateOrder, { type: "read" }>): Promise<void> {
    if (this.#made === null) return;
    const buffer = new Uint8Array(bytesMax);
    const { bytesRead } = await this.#made.read(buffer, 0, buffer.length, offset);
    this.#report({ type: "read", to, nonce, offset, bytes: buffer.subarray(0, bytesRead) });
  }

  async #drop(): Promise<void> {
    const made = this.#made;
    this.#made = null;
    await made?.close();
    removeDatabase(this.#snapshot);
  }

  async #judge({ sizeBytes, sha256 }: SnapshotName): Promise<SnapshotVerdict> {
    if (!(await this.#checkpoints.isWhole(this.#received, sizeBytes, sha256))) return "different";
    const refusal = this.#receiving === null ? null : this.#options.refusal(headerOf(this.#receiving));
    if (refusal === null) return "whole";
    this.#options.log("error", `cannot go on with the state of another replica: ${refusal}`);
    return "unreadable";
  }

  #discard(): void {
    this.#closeReceived();
    removeDatabase(this.#received);
  }

  #closeReceived(): void {
    if (this.#receiving !== null) closeSync(this.#receiving);
    this.#receiving = null;
  }

  async #install(): Promise<void> {
    const { replace, openNothing, openState } = this.#options;
    this.#closeReceived();
    replace(openNothing());
    await this.#checkpoints.takeOver(this.#received);
    if (this.#stopped) return;
    const state = openState();
    replace(state);
    const { index, view, chain } = state.applied;
    this.#report({ type: "installed", position: { index, view, chain }, clock: state.clock });
  }
}

/** What the header of a database tells; see the file format of SQLite, §1.3. */
interface StateHeader {
  readonly version: number;
  readonly application: number;
}

/** Nothing opens the file for that: SQLite would make others beside it. */
function headerOf(file: number): StateHeader {
  const header = Buffer.alloc(100);
  readSync(file, header, 0, header.length, 0);
  return { version: header.readUInt32BE(60), application: header.readUInt32BE(68) };
}

function writeWhole(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, offset + done);
}
