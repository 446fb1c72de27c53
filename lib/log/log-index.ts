/**
 * For every entry of the logical log: where it stands, how long it is, its view and chain. Typed arrays in blocks, so
 * that a million entries take 28 MB and growing copies little. Does no I/O.
 */
import { assert } from "../base/assert.ts";

const blockEntries = 65_536;
const firstEntries = 256;

interface Block {
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  readonly views: Float64Array;
  readonly chains: BigUint64Array;
}

/** Small at first, as many logs are. */
function larger(block: Block | undefined): Block {
  const entries = block === undefined ? firstEntries : Math.min(blockEntries, block.lengths.length * 4);
  const grown: Block = {
    positions: new Float64Array(entries),
    lengths: new Uint32Array(entries),
    views: new Float64Array(entries),
    chains: new BigUint64Array(entries),
  };
  if (block === undefined) return grown;
  grown.positions.set(block.positions);
  grown.lengths.set(block.lengths);
  grown.views.set(block.views);
  grown.chains.set(block.chains);
  return grown;
}

export class LogIndex {
  #blocks: Block[] = [];
  #count = 0;
  /** Places of entries that are gone, at the beginning of the first block. */
  #skipped = 0;
  #baseIndex: number;
  #baseView: number;
  #baseChain: bigint;

  /** The log may begin behind an entry that is not here: its index, view and chain. */
  constructor(baseIndex = 0, baseView = 0, baseChain = 0n) {
    this.#baseIndex = baseIndex;
    this.#baseView = baseView;
    this.#baseChain = baseChain;
  }

  /** The index of the entry before the first one. */
  get baseIndex(): number {
    return this.#baseIndex;
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#count;
  }

  /** Forgets the entries up to this one, which the log keeps as the one before its first. */
  drop(upTo: number): void {
    assert(upTo >= this.#baseIndex && upTo <= this.lastIndex, "a log begins behind one of its own entries");
    const [view, chain] = [this.view(upTo), this.chain(upTo)];
    this.#skipped += upTo - this.#baseIndex;
    this.#count -= upTo - this.#baseIndex;
    this.#blocks = this.#blocks.slice(Math.floor(this.#skipped / blockEntries));
    this.#skipped %= blockEntries;
    this.#baseIndex = upTo;
    this.#baseView = view;
    this.#baseChain = chain;
  }

  has(index: number): boolean {
    return index > this.baseIndex && index <= this.lastIndex;
  }

  /** Appends the entry after the last one. */
  push(position: number, length: number, view: number, chain: bigint): void {
    const place = this.#skipped + this.#count;
    const at = place % blockEntries;
    const number = (place - at) / blockEntries;
    let block = this.#blocks[number];
    if (block === undefined || at >= block.lengths.length) {
      block = larger(block);
      this.#blocks[number] = block;
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
    const blocks = Math.ceil((this.#skipped + this.#count) / blockEntries);
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
    return index === this.#baseIndex ? this.#baseView : (this.#block(index).views[this.#at(index)] ?? 0);
  }

  /** Also of the entry before the first one. */
  chain(index: number): bigint {
    return index === this.#baseIndex ? this.#baseChain : (this.#block(index).chains[this.#at(index)] ?? 0n);
  }

  views(): Float64Array {
    const all = new Float64Array(this.#count);
    this.#eachRun((block, from, to, first) => all.set(block.views.subarray(from, to), first));
    return all;
  }

  chains(): BigUint64Array {
    const all = new BigUint64Array(this.#count);
    this.#eachRun((block, from, to, first) => all.set(block.chains.subarray(from, to), first));
    return all;
  }

  /** The places from…to of each block, and which entry stands there, counted from 0. */
  #eachRun(each: (block: Block, from: number, to: number, first: number) => void): void {
    let first = 0;
    for (const [number, block] of this.#blocks.entries()) {
      const from = number === 0 ? this.#skipped : 0;
      const to = Math.min(blockEntries, from + this.#count - first);
      if (to <= from) return;
      each(block, from, to, first);
      first += to - from;
    }
  }

  #block(index: number): Block {
    assert(this.has(index), "only entries of the log are asked for");
    const block = this.#blocks[Math.floor((this.#skipped + index - this.#baseIndex - 1) / blockEntries)];
    assert(block !== undefined, "every entry has its block");
    return block;
  }

  #at(index: number): number {
    return (this.#skipped + index - this.#baseIndex - 1) % blockEntries;
  }
}
