import { expect, test } from '@jest/globals';
import { isCleanup, readRouteAgentConfig } from '../../src/routeagent/config.ts';
import { UsageError } from '../../src/runtime/errors.ts';

const ENV = {
  SUBMARINER_CLUSTERID: 'east',
  SUBMARINER_NAMESPACE: 'submariner-operator',
  SUBMARINER_CLUSTERCIDR: '10.130.0.0/16, 10.131.1.1/16',
  SUBMARINER_SERVICECIDR: '100.66.0.0/16',
  NODE_NAME: 'east-2',
};

test('reads the environment of upstream', () => {
  expect(readRouteAgentConfig({ ...ENV, SUBMARINER_HEALTHCHECKINTERVAL: '2' })).toMatchObject({
    clusterId: 'east',
    nodeName: 'east-2',
    podCidrs: ['10.130.0.0/16', '10.131.0.0/16'],
    serviceCidrs: ['100.66.0.0/16'],
    healthCheck: { enabled: true, intervalMs: 2000, maxLosses: 5 },
  });
});

test('tells all mistakes at once', () => {
  const env = {
    SUBMARINER_CLUSTERID: 'No Good',
    SUBMARINER_CLUSTERCIDR: '10.0.0.0/40',
    SUBMARINER_HEALTHCHECKINTERVAL: '0',
  };
  const read = (): unknown => readRouteAgentConfig(env);
  expect(read).toThrow(UsageError);
  for (const mistake of [
    'SUBMARINER_CLUSTERID',
    'NODE_NAME is not set',
    'SUBMARINER_NAMESPACE is not set',
    '"10.0.0.0/40" is not a CIDR',
    'SUBMARINER_HEALTHCHECKINTERVAL',
  ]) {
    expect(read).toThrow(mistake);
  }
});

test('clean-up is asked for by flag or environment', () => {
  expect(isCleanup({}, ['--cleanup'])).toBe(true);
  expect(isCleanup({ SUBMARINER_UNINSTALL: 'true' }, [])).toBe(true);
  expect(isCleanup(ENV, [])).toBe(false);
});
