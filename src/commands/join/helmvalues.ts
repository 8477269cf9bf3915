import { BROKER_SECRET, PSK_SECRET } from '../../api/names.ts';
import type { Secret } from '../../kube/objects.ts';
import { chooseImages } from './images.ts';
import type { JoinSettings } from './configuration.ts';
import { manifestValues } from './manifests.ts';
import { type ManifestValues, VALUES } from './values.ts';

/** The values with which the Helm chart renders what join applies: all that are required or not as the chart has them. */
export function helmValues(settings: JoinSettings, secrets: readonly Secret[]): Readonly<Record<string, unknown>> {
  const values = { ...manifestValues(settings), ...secretValues(secrets), ...imageValues(settings) };
  const told = Object.entries(VALUES).filter(
    ([name, value]) => 'required' in value || !same(values[name as keyof ManifestValues], value.default),
  );
  return Object.fromEntries(told.map(([name]) => [name, values[name as keyof ManifestValues]]));
}

function secretValues(secrets: readonly Secret[]): Partial<ManifestValues> {
  const value = (secret: string, key: string): string =>
    secrets.find(({ metadata }) => metadata.name === secret)?.data?.[key] ?? '';
  return {
    ipsecPsk: value(PSK_SECRET, 'psk'),
    brokerToken: value(BROKER_SECRET, 'token'),
    brokerTokenNamespace: value(BROKER_SECRET, 'namespace'),
    brokerTokenCa: value(BROKER_SECRET, 'ca.crt'),
  };
}

/** The chart has the version of subctl, and finds images by repository and version as join does, but for `local`. */
function imageValues({ options, version }: JoinSettings): Partial<ManifestValues> {
  const chosen = chooseImages(options, version);
  const { repository } = chosen;
  const implied = (image: string): string => `${repository}/${image}:${chosen.version}`;
  return {
    version: chosen.version === version ? '' : chosen.version,
    gatewayImage: chosen.gateway === implied('submariner-gateway') ? '' : chosen.gateway,
    routeAgentImage: chosen.routeAgent === implied('submariner-route-agent') ? '' : chosen.routeAgent,
  };
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
