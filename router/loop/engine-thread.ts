import { Thread } from './thread.ts';

/** What a thread with an engine is told. */
export type ToEngineThread<Told> =
  { readonly type: 'node'; readonly told: Told } | { readonly type: 'close' };

/** What it tells: its engine is open, which says `opened`, or is not, with a sentence; then what its node says. */
export type FromEngineThread<Opened, News> =
  | { readonly type: 'opened'; readonly opened: Opened }
  | { readonly type: 'refused'; readonly error: string }
  | { readonly type: 'node'; readonly messages: readonly News[] }
  | { readonly type: 'closed' };

export interface EngineThreadEvents<News> {
  onMessages(messages: readonly News[]): void;
  /** The thread ended or threw. */
  onFailure(error: Error): void;
}

/** A handle of a thread of the data plane, which has an engine and a node of its own. */
export class EngineThread<Told, Opened, News> {
  readonly opened: Opened;
  readonly #thread: Thread<ToEngineThread<Told>, FromEngineThread<Opened, News>>;
  readonly #closed: Promise<void>;

  private constructor(
    opened: Opened,
    thread: Thread<ToEngineThread<Told>, FromEngineThread<Opened, News>>,
    closed: Promise<void>,
  ) {
    this.opened = opened;
    this.#thread = thread;
    this.#closed = closed;
  }

  /** Resolves when socket and TAP are open; rejects with the engine's sentence if they cannot be. */
  static start<Told, Opened, News>(
    name: string,
    settings: unknown,
    events: EngineThreadEvents<News>,
  ): Promise<EngineThread<Told, Opened, News>> {
    return new Promise((resolve, reject) => {
      let onClosed: () => void = () => undefined;
      const closed = new Promise<void>((done) => (onClosed = done));
      const onMessage = (message: FromEngineThread<Opened, News>) => {
        switch (message.type) {
          case 'opened':
            resolve(new EngineThread(message.opened, thread, closed));
            break;
          case 'refused':
            void thread.stop().then(() => reject(new Error(message.error)));
            break;
          case 'node':
            events.onMessages(message.messages);
            break;
          case 'closed':
            onClosed();
            break;
        }
      };
      const onFailure = (error: Error) => {
        onClosed();
        reject(error);
        events.onFailure(error);
      };
      const thread = new Thread<ToEngineThread<Told>, FromEngineThread<Opened, News>>(
        name,
        settings,
        onMessage,
        onFailure,
      );
    });
  }

  /** Copies what it is given. */
  tell(told: Told): void {
    this.#thread.post({ type: 'node', told });
  }

  /** Lets the engine send what it was given, then ends the thread. */
  async close(): Promise<void> {
    this.#thread.post({ type: 'close' });
    await this.#closed;
    await this.#thread.stop();
  }

  /** Ends it at once. */
  stop(): Promise<void> {
    return this.#thread.stop();
  }
}
