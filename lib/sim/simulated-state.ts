/**
 * The state of one simulated replica as it outlives processes: what a loss of power may take of it, snapshots made of it,
 * sent in parts and put in its place. The bytes of a snapshot only name it; what they stand for is kept by their hash.
 */
import type { Position, SnapshotName } from "../protocol/fields.ts";
import type { StateFiles, StateOrder, StateReport } from "../protocol/state-files.ts";
import { ObservedState, type ObservedImage, type StateObserver } from "./observed-state.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";
import type { StateStore } from "./storage.ts";

interface Content {
  readonly position: Position;
  readonly observed: ObservedImage;
  readonly image: unknown;
}

/** What the snapshots of a run hold, by the hash of their bytes. */
export type SnapshotLibrary = Map<string, Content>;

export interface StateSurroundings {
  readonly simulator: Simulator;
  readonly library: SnapshotLibrary;
  readonly sessionOrder: boolean;
  readonly newStore: () => StateStore;
}

const partBytes = 64;

export class SimulatedState {
  readonly observed: ObservedState;
  private readonly store: StateStore;
  /** What was applied up to here survives a loss of power. */
  durableIndex = 0;

  constructor(
    private readonly world: StateSurroundings,
    private readonly random: Random,
    observer: StateObserver,
  ) {
    this.store = world.newStore();
    const emptied = (): void => {
      // It is empty on the disk too, and nothing of what is applied to it from here on is durable yet.
      this.durableIndex = 0;
      observer.emptied();
    };
    const own: StateObserver = {
      applying: (entry, previous) => observer.applying(entry, previous),
      isDoubted: (op) => observer.isDoubted(op),
      forgotten: (session, holds) => observer.forgotten(session, holds),
      emptied,
    };
    this.observed = new ObservedState(this.store, own, world.sessionOrder);
  }

  get digest(): string {
    return this.store.digest();
  }

  close(): void {
    this.store.stateMachine.close();
  }

  losePower(): void {
    if (!this.random.chance(0.7)) return;
    const { index } = this.observed.applied;
    this.observed.rollBack(Math.max(Math.min(index, this.durableIndex), index - this.random.below(40)));
  }

  /**
   * For one process: `report` is called later, and only while `runs`. `effect` may end the process. `replacing`: another
   * state is about to take the place of the one in use.
   */
  files(process: {
    effect(): void;
    runs(): boolean;
    replacing(): void;
    report(report: StateReport): void;
  }): StateFiles {
    const { simulator } = this.world;
    let made: Uint8Array | null = null;
    let received = new Uint8Array(0);
    const later = (meanMs: number, action: () => void): void => {
      simulator.after(this.random.around(meanMs), () => {
        if (process.runs()) action();
      });
    };
    const run = (order: StateOrder): void => {
      switch (order.type) {
        case "sync": {
          const { index } = this.observed.applied;
          return later(10, () => {
            this.durableIndex = Math.max(this.durableIndex, index);
            process.report({ type: "synced" });
          });
        }
        case "capture":
          return later(this.random.pick([5, 100, 1_000]), () => {
            made = this.capture();
            process.report({ type: "captured", snapshot: this.nameOf(made) });
          });
        case "read": {
          const { to, nonce, offset, bytesMax } = order;
          const end = offset + Math.min(bytesMax, partBytes);
          return later(0.5, () => {
            if (made === null) return;
            process.report({ type: "read", to, nonce, offset, bytes: made.slice(offset, end) });
          });
        }
        case "drop":
          made = null;
          return;
        case "receive":
        case "discard":
          received = new Uint8Array(0);
          return;
        case "write": {
          const bytes = new Uint8Array(order.offset + order.bytes.length);
          bytes.set(received.subarray(0, order.offset));
          bytes.set(order.bytes, order.offset);
          received = bytes;
          return;
        }
        case "finish": {
          const isWhole = hashOf(received) === Buffer.from(order.snapshot.sha256).toString("hex");
          const verdict = isWhole ? "whole" : "different";
          return later(5, () => process.report({ type: "finished", check: order.check, verdict }));
        }
        case "install": {
          const content = this.world.library.get(hashOf(received));
          return later(5, () => {
            if (content === undefined) throw new RangeError("what is installed was made by somebody");
            process.replacing();
            this.install(content);
            process.report({ type: "installed", position: content.position, clock: this.observed.clock });
          });
        }
        case "abandon":
          this.durableIndex = 0;
          process.replacing();
          this.observed.abandon();
          return;
      }
    };
    return {
      run: (order) => {
        process.effect();
        run(order);
      },
    };
  }

  private capture(): Uint8Array {
    const { library } = this.world;
    const position = { ...this.observed.applied };
    const bytes = this.random.bytes(100 + this.random.below(200));
    const { index, view, chain } = position;
    // Where chance is steady, as in stories, states at two places would have one name else.
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, chain);
    library.set(hashOf(bytes), {
      position: { index, view, chain },
      observed: this.observed.image(),
      image: this.store.image(),
    });
    return bytes;
  }

  private nameOf(bytes: Uint8Array): SnapshotName {
    const content = this.world.library.get(hashOf(bytes));
    if (content === undefined) throw new RangeError("a snapshot is named after it was made");
    return {
      position: content.position,
      sizeBytes: bytes.length,
      sha256: new Uint8Array(Buffer.from(hashOf(bytes), "hex")),
    };
  }

  private install({ position, observed, image }: Content): void {
    this.store.restore(image);
    this.observed.restore(observed);
    this.durableIndex = position.index;
  }
}

/** As long as SHA-256, and good enough to tell the snapshots of one run apart. */
export const hashOf = (bytes: Uint8Array): string =>
  [1n, 2n, 3n, 4n].map((seed) => Bun.hash.xxHash64(bytes, seed).toString(16).padStart(16, "0")).join("");
