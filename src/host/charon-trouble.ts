/** What charon's log says of failures, and what it means for an operator. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/AUTHENTICATION_FAILED|MAC mismatched/, 'authentication failed: the pre-shared keys of the clusters differ'],
  [/received NO_PROPOSAL_CHOSEN/, 'the peer has no connection with this gateway, or refuses its algorithms'],
  [/received TS_UNACCEPTABLE|no matching CHILD_SA config/, 'the two sides do not agree on the CIDRs'],
  [/retransmit \d+ of request|giving up after \d+ retransmits/, 'the peer does not answer'],
];

/**
 * The last trouble of each connection in a log written with `ike_name = yes` (`<connection|n> text`); a connection that
 * was established afterwards has none.
 */
export function lastTroubles(log: string): ReadonlyMap<string, string> {
  const troubles = new Map<string, string>();
  for (const line of log.split('\n')) {
    const [, connection, text] = /<([^|>]+)\|\d+> (.*)$/.exec(line) ?? [];
    if (connection === undefined || text === undefined) continue;
    const meaning = MEANINGS.find(([pattern]) => pattern.test(text))?.[1];
    if (meaning !== undefined) troubles.set(connection, meaning);
    else if (/^(IKE_SA|CHILD_SA) .* established/.test(text)) troubles.delete(connection);
  }
  return troubles;
}

/** What a charon that answers may still lack, in words; undefined when its log shows nothing of that kind. */
export function startProblem(log: string): string | undefined {
  if (/unable to bind (IPv[46] )?socket.*Address already in use/.test(log)) return 'its UDP port is taken';
  if (/failed to open.*\/dev\/net\/tun|could not create TUN device|unable to create TUN device/i.test(log)) {
    return 'it cannot make a TUN device (/dev/net/tun)';
  }
  if (/plugin 'kernel-libipsec': failed to load/.test(log)) {
    return 'its plugin kernel-libipsec is missing (package libcharon-extra-plugins)';
  }
  return undefined;
}
