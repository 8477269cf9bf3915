import { clusterIdProblem } from '../../api/clusterid.ts';
import { SHORTEST_TOKEN_SECONDS } from '../../kube/tokenrequest.ts';
import { UsageError } from '../../runtime/errors.ts';
import { parseServerUrl } from '../serverurl.ts';
import { parseCidrFlag } from './cidrs.ts';
import { cableDriverName, interfaceName, publicIpResolver } from './configuration.ts';
import { chooseImages } from './images.ts';
import { parseIncluded } from './included.ts';
import type { JoinOptions } from './options.ts';

/** Throws UsageError when the lease of the active gateway would run out before it can be renewed. */
export function checkLeaseTimes({ gatewayLeaseDuration, gatewayRenewDeadline, gatewayRetryPeriod }: JoinOptions): void {
  if (gatewayLeaseDuration > gatewayRenewDeadline && gatewayRenewDeadline > gatewayRetryPeriod) return;
  throw new UsageError(
    `lease times must satisfy --gateway-lease-duration > --gateway-renew-deadline > --gateway-retry-period, not ${gatewayLeaseDuration} > ${gatewayRenewDeadline} > ${gatewayRetryPeriod} (seconds)`,
  );
}

/** Throws one UsageError that names every flag of join with a value that cannot be right; asks nobody but the flags. */
export function checkJoinFlags(options: JoinOptions): void {
  const { clustercidr, servicecidr, globalnetCidr, clustersetIpCidr, clusterid, brokerUrl } = options;
  const given = <T>(value: T | undefined, check: (value: T) => unknown): (() => unknown) => {
    return () => (value === undefined ? undefined : check(value));
  };
  const problems = [
    given(clusterid, requireClusterId),
    given(clustercidr, (text) => parseCidrFlag('--clustercidr', text)),
    given(servicecidr, (text) => parseCidrFlag('--servicecidr', text)),
    given(globalnetCidr, (text) => parseCidrFlag('--globalnet-cidr', text)),
    given(clustersetIpCidr, (text) => parseCidrFlag('--clusterset-ip-cidr', text)),
    given(brokerUrl, (text) => parseServerUrl('--broker-url', text)),
    () => cableDriverName(options.cableDriver),
    () => publicIpResolver(options.publicIp),
    () => interfaceName(options.interface),
    () => chooseImages(options, ''),
    () => parseIncluded(options),
    given(options.brokerTokenExpiry, requireTokenExpiry),
  ].flatMap(problemOf);
  if (problems.length > 0) throw new UsageError(problems.join('\n'));
}

function requireClusterId(text: string): void {
  const problem = clusterIdProblem(text);
  if (problem !== undefined) throw new UsageError(`--clusterid: ${problem}`);
}

/** API servers give no shorter tokens. */
function requireTokenExpiry(ms: number): void {
  if (ms < SHORTEST_TOKEN_SECONDS * 1000)
    throw new UsageError(`--broker-token-expiry: ${ms / 1000}s is shorter than 10m, the shortest that there is`);
}

function problemOf(check: () => unknown): readonly string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof UsageError) return [error.message];
    throw error;
  }
}
