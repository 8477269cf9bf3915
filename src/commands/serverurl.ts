import { UsageError } from '../runtime/errors.ts';

/** The address of an API server as a flag gives it: https:// is added when there is no scheme, slashes at the end are dropped. Throws UsageError. */
export function parseServerUrl(flag: string, text: string): string {
  const url = text.includes('://') ? text : `https://${text}`;
  const isServer = /^https?:\/\/[^/]/.test(url) && URL.canParse(url);
  if (!isServer)
    throw new UsageError(`${flag}: ${text} is not the address of an API server, such as https://HOST:6443`);
  return url.replace(/\/+$/, '');
}
