/**
 * For every entry of the logical log: where it stands, how long it is, its view and chain. Typed arrays in blocks, so
 * that a million entries take 28 MB and growing copies nothing. Does no I/O.
 */
import { assert } from "../base/assert.ts";

const blockEntries = 65_536;

interface Block {
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  readonly views: Float64Array;
  readonly chains: BigUint64Array;
}

export class LogIndex {
  readonly #blocks: Block[] = [];
  #count = 0;

  /** The log may begin behind an entry that is not here (a single segment is looked at): its index, view and chain. */
  constructor(
    readonly baseIndex = 0,
    readonly baseView = 0,
    readonly baseChain = 0n,
  ) {}

  get lastIndex(): number {
    return this.baseIndex + this.#count;
  }

  has(index: number): boolean {
    return index > this.baseIndex && index <= this.lastIndex;
  }

  /** Appends the entry after the last one. */
  push(position: number, length: number, view: number, chain: bigint): void {
    const at = this.#count % blockEntries;
    const number = (this.#count - at) / blockEntries;
    let block = this.#blocks[number];
    if (block === undefined) {
      block = {
        positions: new Float64Array(blockEntries),
        lengths: new Uint32Array(blockEntries),
        views: new Float64Array(blockEntries),
        chains: new BigUint64Array(blockEntries),
      };
      this.#blocks.push(block);
    }
    block.positions[at] = position;
    block.lengths[at] = length;
    block.views[at] = view;
    block.chains[at] = chain;
    this.#count++;
  }

  /** Keeps entries up to this index. */
  cut(lastIndex: number): void {
    assert(lastIndex >= this.baseIndex && lastIndex <= this.lastIndex, "a log is cut at one of its own entries");
    this.#count = lastIndex - this.baseIndex;
    const blocks = Math.ceil(this.#count / blockEntries);
    if (this.#blocks.length > blocks + 1) this.#blocks.length = blocks + 1;
  }

  position(index: number): number {
    return this.#block(index).positions[this.#at(index)] ?? 0;
  }

  setPosition(index: number, position: number): void {
    this.#block(index).positions[this.#at(index)] = position;
  }

  length(index: number): number {
    return this.#block(index).lengths[this.#at(index)] ?? 0;
  }

  /** Also of the entry before the first one. */
  view(index: number): number {
    return index === this.baseIndex ? this.baseView : (this.#block(index).views[this.#at(index)] ?? 0);
  }

  /** Also of the entry before the first one. */
  chain(index: number): bigint {
    return index === this.baseIndex ? this.baseChain : (this.#block(index).chains[this.#at(index)] ?? 0n);
  }

  views(): Float64Array {
    const all = new Float64Array(this.#count);
    this.#eachBlock((block, first, length) => all.set(block.views.subarray(0, length), first));
    return all;
  }

  chains(): BigUint64Array {
    const all = new BigUint64Array(this.#count);
    this.#eachBlock((block, first, length) => all.set(block.chains.subarray(0, length), first));
    return all;
  }

  #eachBlock(each: (block: Block, first: number, length: number) => void): void {
    for (let first = 0; first < this.#count; first += blockEntries) {
      const block = this.#blocks[first / blockEntries];
      assert(block !== undefined, "every entry has its block");
      each(block, first, Math.min(blockEntries, this.#count - first));
    }
  }

  #block(index: number): Block {
    assert(this.has(index), "only entries of the log are asked for");
    const block = this.#blocks[Math.floor((index - this.baseIndex - 1) / blockEntries)];
    assert(block !== undefined, "every entry has its block");
    return block;
  }

  #at(index: number): number {
    return (index - this.baseIndex - 1) % blockEntries;
  }
}
