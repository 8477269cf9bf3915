import type { KubeObject, WatchEvent } from './client.ts';
import { KubeConnectionError } from './errors.ts';
import type { HttpCall } from './exchange.ts';
import type { Transport } from './transport.ts';

/**
 * Events of one watch request until the server ends it or the signal is aborted (both end the iteration quietly).
 * Throws KubeApiError when the request is refused and KubeConnectionError when it breaks, also in the middle of a line.
 */
export async function* readWatch<T extends KubeObject>(
  transport: Transport,
  call: HttpCall,
  onOpen?: () => void,
): AsyncGenerator<WatchEvent<T>> {
  try {
    const response = await transport.open(call);
    onOpen?.();
    const { heard, end } = transport.guard(response);
    try {
      for await (const line of splitLines(response.setEncoding('utf8'), heard)) yield parseEvent<T>(line);
    } catch (error) {
      throw error instanceof KubeConnectionError ? error : new KubeConnectionError(error, transport.attempt(call));
    } finally {
      end();
      response.destroy();
    }
  } catch (error) {
    if (call.signal?.aborted !== true) throw error;
  }
}

function parseEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  const event = JSON.parse(line) as WatchEvent<T> | null;
  if (typeof event !== 'object' || event === null || typeof event.object !== 'object') {
    throw new SyntaxError('not a watch event');
  }
  return event;
}

/** Lines of a text stream, without their line feeds; text after the last line feed counts as a line of its own. */
async function* splitLines(chunks: AsyncIterable<string>, onChunk: () => void): AsyncGenerator<string> {
  let rest: string[] = [];
  for await (const chunk of chunks) {
    onChunk();
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      rest.push(chunk.slice(start, end));
      const line = rest.join('').trim();
      rest = [];
      start = end + 1;
      if (line !== '') yield line;
    }
    if (start < chunk.length) rest.push(chunk.slice(start));
  }
  const last = rest.join('').trim();
  if (last !== '') yield last;
}
