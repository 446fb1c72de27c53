/**
 * Looks over bytes before `cbor-x` does, and refuses what frames are never made of: tags, floats, negative integers,
 * maps, indefinite lengths, stop codes, other simple values, invalid UTF-8, integers above 2^53 - 1, lengths beyond the
 * bytes at hand, arrays too deep or too many items. One pass, no recursion, memory for the depth alone. Knows no
 * schema. Pure.
 */
import { limits } from "../base/limits.ts";
import { falseByte, majorArray, majorBytes, majorText, majorUint, nullByte } from "./cbor.ts";

export type ScanReason =
  /** The bytes end where the item should begin. */
  | "missing"
  /** The bytes end within it, or it is an array of more items than bytes are left. */
  | "cut"
  | "forbidden"
  | "indefinite"
  | "malformed"
  /** Its value or length is above 2^53 - 1. */
  | "huge"
  | "utf8"
  | "depth"
  | "items";

/** An item that may not be in a frame. */
export interface ScanFault {
  readonly reason: ScanReason;
  /** Its first byte; -1 if it is missing. */
  readonly first: number;
  /** Its value, or its length in bytes or items; -1 if its head could not be read. */
  readonly argument: number;
  /** Where it is: its place in the outermost array, then in the array at that place, and so on. Empty: outermost. */
  readonly path: readonly number[];
  /** How many items each of those arrays has. */
  readonly counts: readonly number[];
}

/**
 * A text that begins with a byte order mark, which cbor-x drops from texts above 64 bytes. It is a character like any
 * other here (README, "Encoding").
 */
export interface MarkedText {
  readonly path: readonly number[];
  readonly text: string;
}

/** Short texts are mostly ASCII; to look costs less than to ask the decoder. */
const asciiBytesMax = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const nothing = new Uint8Array(0);

/** Scans one thing after another. One scanner serves for everything, since no scan is inside another. */
export class Scanner {
  /** After a scan without fault: where the item, or the last item asked for, ends. */
  end = 0;
  /** After a scan: the texts in it that cbor-x would shorten. */
  marked: MarkedText[] = [];
  /** After a scan: where the first item within the outermost array begins. */
  innerStart = 0;
  /** After a scan: how many items the outermost array has; -1 if there is none. */
  innerCount = -1;

  private bytes: Uint8Array = nothing;
  private at = 0;
  private first = -1;
  private argument = 0;
  private depth = 0;
  private readonly counts = new Array<number>(limits.frameDepthMax).fill(0);
  private readonly left = new Array<number>(limits.frameDepthMax).fill(0);

  /**
   * Scans the item at the start of `bytes`; what follows it is not looked at. Of an outermost array only the first
   * `innerMax` items (at least one) are, if given. `itemsMax` is how many items all arrays together may have, or tells
   * it from the number that is the first item of the outermost array; until then no array may be inside.
   */
  scan(bytes: Uint8Array, itemsMax: number | ((number: number) => number), innerMax = Infinity): ScanFault | null {
    this.bytes = bytes;
    this.at = 0;
    this.depth = 0;
    this.innerCount = -1;
    if (this.marked.length > 0) this.marked = [];
    const fault = this.run(itemsMax, innerMax);
    this.end = this.at;
    this.bytes = nothing;
    return fault;
  }

  private run(itemsMax: number | ((number: number) => number), innerMax: number): ScanFault | null {
    let ask = typeof itemsMax === "number" ? null : itemsMax;
    let items = typeof itemsMax === "number" ? itemsMax : 0;
    for (;;) {
      const reason = this.head();
      if (reason !== null) return this.fault(reason);
      const major = this.first >> 5;
      if (major === majorArray) {
        if (this.depth > 0) items -= this.argument;
        else if (ask === null) items -= Math.min(this.argument, innerMax);
        const refused = this.enter(items);
        if (refused !== null) return this.fault(refused);
        if (this.argument > 0) continue;
      } else if (major === majorText || major === majorBytes) {
        const refused = this.content(major);
        if (refused !== null) return this.fault(refused);
      }
      if (this.leave(innerMax)) return null;
      if (ask !== null) {
        items = (major === majorUint ? ask(this.argument) : 0) - this.innerCount;
        ask = null;
        if (items < 0) return this.fault("items");
      }
    }
  }

  /** Reads an item's first byte and argument. */
  private head(): ScanReason | null {
    const { bytes, at } = this;
    this.argument = -1;
    this.first = at < bytes.length ? (bytes[at] as number) : -1;
    const { first } = this;
    if (first < 0) return "missing";
    if (first >= falseByte && first <= nullByte) {
      this.at = at + 1;
      return null;
    }
    const major = first >> 5;
    if (major > majorArray || (major !== majorUint && major < majorBytes)) return "forbidden";
    const info = first & 31;
    if (info < 24) {
      this.argument = info;
      this.at = at + 1;
      return null;
    }
    if (info > 27) return info === 31 ? "indefinite" : "malformed";
    const end = at + 1 + (1 << (info - 24));
    if (end > bytes.length) return "cut";
    let value = 0;
    for (let i = at + 1; i < end; i++) value = value * 256 + (bytes[i] as number);
    this.at = end;
    this.argument = value;
    return value > Number.MAX_SAFE_INTEGER ? "huge" : null;
  }

  /** Begins an array, empty or not. Its items take a byte each at least, so a count that cannot be true is refused. */
  private enter(itemsLeft: number): ScanReason | null {
    const { argument, at, depth } = this;
    if (argument > this.bytes.length - at) return "cut";
    if (itemsLeft < 0) return "items";
    if (depth === limits.frameDepthMax) return "depth";
    if (depth === 0) {
      this.innerStart = at;
      this.innerCount = argument;
    }
    if (argument > 0) {
      this.counts[depth] = argument;
      this.left[depth] = argument;
      this.depth = depth + 1;
    }
    return null;
  }

  /** Passes over what a string contains. */
  private content(major: number): ScanReason | null {
    const { bytes, at: start, argument: length } = this;
    if (length > bytes.length - start) return "cut";
    const end = start + length;
    this.at = end;
    if (major === majorBytes) return null;
    if (length <= asciiBytesMax) {
      let bits = 0;
      for (let i = start; i < end; i++) bits |= bytes[i] as number;
      if (bits < 0x80) return null;
    }
    let text: string;
    try {
      text = utf8.decode(bytes.subarray(start, end));
    } catch {
      return "utf8";
    }
    if (text.charCodeAt(0) === 0xfeff) this.marked.push({ path: this.path(), text });
    return null;
  }

  /** Goes on behind an item, out of the arrays that end with it. True if that was the last item to look at. */
  private leave(innerMax: number): boolean {
    const { left } = this;
    while (this.depth > 0) {
      const rest = (left[this.depth - 1] as number) - 1;
      left[this.depth - 1] = rest;
      if (rest > 0) return this.depth === 1 && this.innerCount - rest === innerMax;
      this.depth--;
    }
    return true;
  }

  private path(): number[] {
    return this.left.slice(0, this.depth).map((rest, level) => (this.counts[level] as number) - rest);
  }

  private fault(reason: ScanReason): ScanFault {
    const { first, argument } = this;
    return { reason, first, argument, path: this.path(), counts: this.counts.slice(0, this.depth) };
  }
}
