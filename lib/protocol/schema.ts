/**
 * The building blocks from which frames and commands are described: each schema is data from which the TypeScript
 * type, the strict decoder, the encoder, the CDDL and the readable text derive. Pure. No frame is defined here.
 */

/** A described value. `T` is the TypeScript type of the decoded value. */
export type Schema<T> = Description & { readonly phantom?: T };

export type Description =
  /** `as` only says how people read it: a view as `count.pid`. */
  | { readonly kind: "uint"; readonly max: number; readonly as: "number" | "view" }
  | { readonly kind: "bool" }
  | { readonly kind: "text"; readonly maxBytes: number; readonly secret: boolean; readonly body: boolean }
  | { readonly kind: "bytes"; readonly minBytes: number; readonly maxBytes: number; readonly secret: boolean }
  /** 16 bytes on the wire, the canonical 8-4-4-4-12 lower-case text in memory. */
  | { readonly kind: "uuid" }
  /** 8 bytes on the wire (big-endian), a bigint in memory. */
  | { readonly kind: "hash64" }
  | { readonly kind: "oneOf"; readonly values: readonly string[] }
  | { readonly kind: "optional"; readonly of: Description }
  | { readonly kind: "list"; readonly of: Description; readonly max: number }
  | { readonly kind: "struct"; readonly name: string; readonly fields: readonly Field[] };

export interface Field {
  readonly name: string;
  readonly schema: Description;
}

export type Infer<S> = S extends { readonly phantom?: infer T } ? Exclude<T, undefined> : never;
export type FieldsOf<F> = { -readonly [K in keyof F]: Infer<F[K]> };
type AnyFields = Readonly<Record<string, Schema<unknown>>>;

/** An integer 0…max. JavaScript's safe integers are the widest allowed. Always CBOR major type 0, 64-bit when needed. */
export const uint = (
  max: number = Number.MAX_SAFE_INTEGER,
  options: { as?: "number" | "view" } = {},
): Schema<number> => ({ kind: "uint", max, as: options.as ?? "number" });
export const bool: Schema<boolean> = { kind: "bool" };
/** UTF-8 text of at most `maxBytes` bytes. `secret` is never printed; `body` only when message bodies are asked for. */
export const text = (maxBytes: number, options: { secret?: boolean; body?: boolean } = {}): Schema<string> => ({
  kind: "text",
  maxBytes,
  secret: options.secret ?? false,
  body: options.body ?? false,
});
export const bytes = (minBytes: number, maxBytes: number, options: { secret?: boolean } = {}): Schema<Uint8Array> => ({
  kind: "bytes",
  minBytes,
  maxBytes,
  secret: options.secret ?? false,
});
export const uuid: Schema<string> = { kind: "uuid" };
export const hash64: Schema<bigint> = { kind: "hash64" };
export const oneOf = <const V extends readonly string[]>(...values: V): Schema<V[number]> => ({
  kind: "oneOf",
  values,
});
/** CBOR null when absent, so that every frame keeps its length. */
export const optional = <T>(of: Schema<T>): Schema<T | null> => ({ kind: "optional", of });
export const list = <T>(of: Schema<T>, max: number): Schema<T[]> => ({ kind: "list", of, max });
/** A fixed sequence of named fields, a CBOR array on the wire. */
export const struct = <F extends AnyFields>(name: string, fields: F): Schema<FieldsOf<F>> => ({
  kind: "struct",
  name,
  fields: Object.entries(fields).map(([field, schema]) => ({ name: field, schema })),
});

/** One entry of a table of frames or commands: on the wire `[number, ...fields]`. */
export interface Definition<F extends AnyFields = AnyFields> {
  readonly number: number;
  readonly direction: Direction;
  /** One sentence for the generated tables. */
  readonly about: string;
  readonly fields: F;
}

/** Who may send it. `log` marks a command, which travels inside an entry. */
export type Direction = "any" | "client" | "server" | "replica" | "log";

export const define = <F extends AnyFields>(
  number: number,
  direction: Direction,
  about: string,
  fields: F,
): Definition<F> => ({ number, direction, about, fields });

/** The discriminated union of all values of a table: `{type: name, …fields}`. */
export type ValueOf<Table extends Readonly<Record<string, Definition>>> = {
  [K in keyof Table & string]: { type: K } & FieldsOf<Table[K]["fields"]>;
}[keyof Table & string];
