import { GATEWAY_COMPONENT, ROUTEAGENT_COMPONENT } from '../../api/names.ts';
import { UsageError } from '../../runtime/errors.ts';

/** Our daemons take other settings than upstream's images do, so never upstream's repository. */
const DEFAULT_REPOSITORY = 'localhost/subctl';
/** Components upstream knows; those that we do not deploy are recorded only. */
const COMPONENTS = [
  'submariner-operator',
  GATEWAY_COMPONENT,
  ROUTEAGENT_COMPONENT,
  'submariner-globalnet',
  'submariner-lighthouse-agent',
  'submariner-lighthouse-coredns',
  'submariner-nettest',
  'submariner-metrics-proxy',
] as const;

/** Flags that choose images. */
export interface ImageOptions {
  readonly repository?: string;
  readonly version?: string;
  readonly imageOverride?: readonly string[];
}

/** The images of a deployment. */
export interface Images {
  readonly repository: string;
  readonly version: string;
  /** Component to image, as --image-override gave them. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly gateway: string;
  readonly routeAgent: string;
  readonly pullPolicy: 'Always' | 'IfNotPresent';
}

/** Image names from flags: an override, else `<repository>/<image>:<version>`; the repository `local` means none. */
export function chooseImages(options: ImageOptions, defaultVersion: string): Images {
  const overrides = parseOverrides(options.imageOverride ?? []);
  const repository = (options.repository ?? DEFAULT_REPOSITORY).replace(/\/+$/, '');
  const version = options.version ?? defaultVersion;
  const image = (component: string, name: string): string =>
    overrides[component] ?? `${repository === 'local' ? '' : `${repository}/`}${name}:${version}`;
  return {
    repository,
    version,
    overrides,
    gateway: image(GATEWAY_COMPONENT, 'submariner-gateway'),
    routeAgent: image(ROUTEAGENT_COMPONENT, 'submariner-route-agent'),
    pullPolicy: /^(?:devel|local|release-.*)$/.test(version) ? 'Always' : 'IfNotPresent',
  };
}

function parseOverrides(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const [component = '', ...rest] = text.split('=');
      const image = rest.join('=');
      if (image === '' || /\s/.test(image) || !COMPONENTS.some((known) => known === component)) {
        throw new UsageError(`--image-override: ${text}: give COMPONENT=IMAGE with one of ${COMPONENTS.join(', ')}`);
      }
      return [component, image];
    }),
  );
}
