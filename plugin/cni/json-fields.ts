import { CNI_CODES, CniError } from './cni-error.ts';

/** Reads optional fields of JSON that others wrote: null counts as absent, another type is error 7 naming the field. */
export class JsonFields {
  readonly #row: Readonly<Record<string, unknown>>;
  readonly #place: string;

  constructor(value: unknown, place: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw mistyped(place, value, 'an object');
    }
    this.#row = value as Readonly<Record<string, unknown>>;
    this.#place = place;
  }

  has(key: string): boolean {
    return this.#row[key] !== undefined && this.#row[key] !== null;
  }

  text(key: string): string | undefined {
    return this.#typed(key, 'a text', (value) => typeof value === 'string') as string | undefined;
  }

  boolean(key: string): boolean | undefined {
    return this.#typed(key, 'true or false', (value) => typeof value === 'boolean') as boolean | undefined;
  }

  /** A whole number, not negative. */
  count(key: string): number | undefined {
    return this.#typed(key, 'a whole number', isCount) as number | undefined;
  }

  texts(key: string): readonly string[] | undefined {
    const isTexts = (value: unknown): boolean =>
      Array.isArray(value) && value.every((item) => typeof item === 'string');
    return this.#typed(key, 'a list of texts', isTexts) as readonly string[] | undefined;
  }

  object(key: string): JsonFields | undefined {
    return this.has(key) ? new JsonFields(this.#row[key], this.#named(key)) : undefined;
  }

  /** A list of objects; absent is undefined, as that may mean something else than empty. */
  objects(key: string): readonly JsonFields[] | undefined {
    const list = this.#typed(key, 'a list', Array.isArray) as readonly unknown[] | undefined;
    return list?.map((item, i) => new JsonFields(item, `${this.#named(key)}[${i}]`));
  }

  #typed(key: string, kind: string, fits: (value: unknown) => boolean): unknown {
    const value = this.has(key) ? this.#row[key] : undefined;
    if (value === undefined || fits(value)) return value;
    throw mistyped(this.#named(key), value, kind);
  }

  #named(key: string): string {
    return this.#place === '' ? key : `${this.#place}.${key}`;
  }
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function mistyped(place: string, value: unknown, kind: string): CniError {
  const said = JSON.stringify(value).slice(0, 80);
  return new CniError(
    CNI_CODES.badConfiguration,
    `${place === '' ? 'the configuration' : place} is ${said}: it must be ${kind}`,
  );
}
