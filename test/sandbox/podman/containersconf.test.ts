import { expect, test } from '@jest/globals';
import { renderContainersConf } from '../../../src/sandbox/podman/containersconf.ts';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             96000                unlimited            processes
Max open files            1024                 20000                files
`;
const ORDINARY = {
  processStatus: 'CapEff:\t000001ffffffffff\n',
  limits: LIMITS,
  pidMax: '32768\n',
  hybridControllers: undefined,
};

test('an ordinary machine needs no setting', () => {
  expect(renderContainersConf(ORDINARY)).toBe('[containers]\n[engine]\n');
});

test('root that may not raise limits asks for what it has', () => {
  expect(renderContainersConf({ ...ORDINARY, processStatus: 'CapEff:\t000001fffeffffff\n' })).toBe(
    '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]\n[engine]\n',
  );
});

test('where cgroups of both versions are mixed, runc takes the place of crun', () => {
  expect(renderContainersConf({ ...ORDINARY, hybridControllers: 'hugetlb\n' })).toContain('runtime = "runc"');
  expect(renderContainersConf({ ...ORDINARY, hybridControllers: '\n' })).not.toContain('runc');
});
