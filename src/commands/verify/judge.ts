import type { IcmpReport, ProbeReport, TcpReport, UdpReport } from '../../host/prober/protocol.ts';
import { cidrContains } from '../../net/cidr.ts';
import type { Case, Source } from './cases.ts';

export type Status = 'passed' | 'failed' | 'skipped';

/** What became of a case. */
export interface CaseResult {
  readonly tested: Case;
  readonly status: Status;
  /** Why it failed or was skipped; may hold a remark when it passed. */
  readonly message: string;
  /** Round trip of a ping; null where none was sent or came back. */
  readonly rttMs: number | null;
  /** The source address the other side saw; '' when it did not say. */
  readonly sourceSeen: string;
  /** What it should have seen: an address, or CIDRs it should be in. */
  readonly sourceExpected: string;
}

/** What one part of a case says. */
interface Verdict {
  readonly trouble: string;
  readonly remark: string;
  readonly skipped: boolean;
  readonly rttMs: number | null;
  readonly seen: string;
}

const GOOD: Verdict = { trouble: '', remark: '', skipped: false, rttMs: null, seen: '' };

/** Of five datagrams three have to come back: a lossy line is no broken one. */
const SHARE = 0.6;
/** Larger ones travel in pieces, each of which may be lost: one that comes back proves that they fit. */
const WHOLE_BYTES = 1500;

function isBad({ bytes, sent, back }: UdpReport['bursts'][number]): boolean {
  return bytes > WHOLE_BYTES ? back === 0 : back < sent * SHARE;
}

function judgeIcmp({ sent, received, rttMs, failure }: IcmpReport): Verdict {
  if (received === 0 && /not permitted|lacking privilege/i.test(failure)) {
    return { ...GOOD, skipped: true, trouble: 'the test pod may not send ICMP' };
  }
  return { ...GOOD, rttMs, trouble: received === 0 ? `no answer to ${sent} echo requests: ${failure}` : '' };
}

function judgeTcp({ ok, clientIP, failure }: TcpReport): Verdict {
  return { ...GOOD, seen: clientIP, trouble: ok ? '' : failure };
}

function judgeUdp({ bursts, clientIP, failure }: UdpReport): Verdict {
  const lines = bursts
    .map((burst) => ({ ...burst, bad: isBad(burst) }))
    .map(({ bad, bytes, sent, there, back }) => ({
      bad,
      lossy: back < sent,
      text: `${back} of ${sent} datagrams of ${bytes} bytes came back${there === null ? '' : ` (${there} arrived)`}`,
    }));
  const bad = lines.filter((line) => line.bad);
  const why = failure === '' ? '' : `: ${failure}`;
  return {
    ...GOOD,
    seen: clientIP,
    trouble: bad.length === 0 ? '' : `${bad.map(({ text }) => text).join(', ')}${why}`,
    remark: lines
      .filter(({ lossy }) => lossy)
      .map(({ text }) => text)
      .join(', '),
  };
}

function judgeReport({ icmp, tcp, udp }: ProbeReport): readonly Verdict[] {
  return [
    ...(icmp === undefined ? [] : [judgeIcmp(icmp)]),
    ...(tcp === undefined ? [] : [judgeTcp(tcp)]),
    ...(udp === undefined ? [] : [judgeUdp(udp)]),
  ];
}

/** What the other side should see: the pod's own address, or one of the cluster's pod network. */
export function expectedSource({ kind, address }: Source, podCidrs: readonly string[]): string {
  return kind === 'pod' ? address : podCidrs.join(', ');
}

function isExpected(from: Source, seen: string, podCidrs: readonly string[]): boolean {
  return from.kind === 'pod' ? seen === from.address : podCidrs.some((cidr) => cidrContains(cidr, `${seen}/32`));
}

function sourceTrouble(from: Source, seen: readonly string[], podCidrs: readonly string[]): string {
  const wrong = seen.find((address) => !isExpected(from, address, podCidrs));
  if (wrong === undefined) return '';
  return `the source address is not preserved: ${wrong} was seen instead of ${expectedSource(from, podCidrs)}`;
}

function smallest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function statusOf(trouble: string, verdicts: readonly Verdict[]): Status {
  if (trouble !== '') return 'failed';
  return verdicts.every(({ skipped }) => skipped) ? 'skipped' : 'passed';
}

/**
 * Judges a case by the reports of its targets: every one has to be there and good, and the other side has to have seen the
 * source address that was sent from. `podCidrs` are those of the source's cluster; `failure` says why reports are missing.
 */
export function judgeCase(
  tested: Case,
  reports: ReadonlyMap<string, ProbeReport>,
  { podCidrs, failure }: { readonly podCidrs: readonly string[]; readonly failure: string },
): CaseResult {
  const found = tested.targets.flatMap(({ id }) => reports.get(id) ?? []);
  const verdicts = found.flatMap(judgeReport);
  const seen = verdicts.map((verdict) => verdict.seen).filter((address) => address !== '');
  const missing = found.length < tested.targets.length ? [failure || 'the prober said nothing'] : [];
  const troubles = [
    ...missing,
    ...verdicts.flatMap(({ trouble, skipped }) => (trouble === '' || skipped ? [] : [trouble])),
    sourceTrouble(tested.from, seen, podCidrs),
  ];
  const trouble = [...new Set(troubles.filter((text) => text !== ''))].join('; ');
  const status = statusOf(trouble, verdicts);
  const said = status === 'skipped' ? verdicts.map((one) => one.trouble) : verdicts.map(({ remark }) => remark);
  return {
    tested,
    status,
    message: trouble === '' ? [...new Set(said.filter((text) => text !== ''))].join('; ') : trouble,
    rttMs: smallest(verdicts.map(({ rttMs }) => rttMs)),
    sourceSeen: seen[0] ?? '',
    sourceExpected: expectedSource(tested.from, podCidrs),
  };
}
