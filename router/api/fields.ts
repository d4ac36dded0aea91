/** What a field of a request's body may hold. */
export interface Field<T> {
  /** What is wrong with a value, to follow the field's name; undefined if nothing is. */
  readonly faultOf: (value: unknown) => string | undefined;
  /** Never set: it carries the type. */
  readonly holds?: T;
}

export interface OptionalField<T> extends Field<T> {
  readonly optional: true;
}

/** The fields of a body by name; it may have no others. */
export type Fields = Readonly<Record<string, Field<unknown> | OptionalField<unknown>>>;

type Held<F> = F extends Field<infer T> ? T : never;
type OptionalNames<F extends Fields> = {
  [Name in keyof F]: F[Name] extends OptionalField<unknown> ? Name : never;
}[keyof F];

/** The type of a body that has these fields. */
export type BodyOf<F extends Fields> = {
  readonly [Name in Exclude<keyof F, OptionalNames<F>>]: Held<F[Name]>;
} & { readonly [Name in OptionalNames<F>]?: Held<F[Name]> };

const MOST_CHARACTERS = 4_096;
const MOST_ITEMS = 1_024;

export const flag: Field<boolean> = {
  faultOf: (value) => (typeof value === 'boolean' ? undefined : 'is neither true nor false'),
};

/** 1 to `most` characters. */
export function text(most = MOST_CHARACTERS): Field<string> {
  return {
    faultOf: (value) => {
      if (typeof value !== 'string') return 'is no text';
      return value.length >= 1 && value.length <= most ? undefined : `has not 1 to ${most} characters`;
    },
  };
}

/** A list of at least so many texts. */
export function texts(least = 0): Field<readonly string[]> {
  const item = text();
  return {
    faultOf: (value) => {
      if (!Array.isArray(value)) return 'is no list';
      if (value.length < least || value.length > MOST_ITEMS) return `has not ${least} to ${MOST_ITEMS} items`;
      const fault = value.map(item.faultOf).find((each) => each !== undefined);
      return fault && `has an item that ${fault}`;
    },
  };
}

export function optional<T>(field: Field<T>): OptionalField<T> {
  return { ...field, optional: true };
}

/** What is wrong with `body`, in a sentence; undefined if it has these fields and no others. */
export function bodyFault(fields: Fields, body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'the body is no JSON object';
  const given = new Map<string, unknown>(Object.entries(body));
  for (const name of given.keys()) {
    if (!Object.hasOwn(fields, name)) {
      return `the body has an unknown field "${name.slice(0, 64)}": it may have ${Object.keys(fields).join(', ')}`;
    }
  }
  for (const [name, field] of Object.entries(fields)) {
    if (!given.has(name)) {
      if (!('optional' in field)) return `the body lacks the field "${name}"`;
      continue;
    }
    const fault = field.faultOf(given.get(name));
    if (fault !== undefined) return `the field "${name}" ${fault}`;
  }
  return undefined;
}
