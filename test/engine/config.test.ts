import { describe, expect, test } from '@jest/globals';
import { readEngineConfig } from '../../src/engine/config.ts';
import { UsageError } from '../../src/runtime/errors.ts';

const environment = {
  SUBMARINER_CLUSTERID: 'west',
  SUBMARINER_NAMESPACE: 'submariner-operator',
  SUBMARINER_CLUSTERCIDR: '10.131.0.0/16, 10.140.1.2/16',
  SUBMARINER_SERVICECIDR: '100.67.0.0/16',
  SUBMARINER_GLOBALCIDR: '',
  NODE_NAME: 'west-1',
  BROKER_K8S_APISERVER: '198.18.0.10:6443',
  BROKER_K8S_REMOTENAMESPACE: 'submariner-k8s-broker',
  BROKER_K8S_SECRET: 'submariner-broker-secret',
  CE_IPSEC_PSKSECRET: 'submariner-ipsec-psk',
};
const PSK = Buffer.from([10, 0, 255, 32, 10]);
const files: Readonly<Record<string, Buffer>> = {
  '/run/secrets/submariner.io/submariner-broker-secret/token': Buffer.from('secret\n'),
  '/run/secrets/submariner.io/submariner-broker-secret/ca.crt': Buffer.from('-----BEGIN CERTIFICATE-----\n'),
  '/run/secrets/submariner.io/submariner-ipsec-psk/psk': PSK,
};

function read(over: Readonly<Record<string, string>> = {}, present = files) {
  return readEngineConfig({ ...environment, ...over }, (path) => {
    const bytes = present[path];
    if (bytes === undefined) throw new Error(`no such file ${path}`);
    return bytes;
  });
}

function mistakes(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('was accepted');
}

describe('configuration', () => {
  test('how IPsec is done', () => {
    const { ipsec } = read({ CE_IPSEC_FORCEENCAPS: 'true', CE_IPSEC_DEBUG: 'true' });
    expect(ipsec).toEqual({ forceEncaps: true, debug: true });
    expect(mistakes(() => read({ CE_IPSEC_FORCEENCAPS: 'perhaps' }))).toContain('CE_IPSEC_FORCEENCAPS');
  });

  test('what join sets, with upstream defaults', () => {
    expect(read()).toEqual({
      uninstall: false,
      cableDriver: 'libreswan',
      driverChange: 'together',
      clusterId: 'west',
      namespace: 'submariner-operator',
      nodeName: 'west-1',
      podName: undefined,
      clusterCidrs: ['10.131.0.0/16', '10.140.0.0/16'],
      serviceCidrs: ['100.67.0.0/16'],
      globalCidrs: [],
      natEnabled: false,
      preferredServer: false,
      tunnelPort: 4500,
      ipsec: { forceEncaps: false, debug: false },
      psk: PSK.toString('base64'),
      pskSecretName: 'submariner-ipsec-psk',
      publicIp: undefined,
      interfaceName: undefined,
      stateDir: '/var/lib/submariner',
      serve: { host: '127.0.0.1', port: 32780 },
      healthCheck: { enabled: true, intervalMs: 1000, maxPacketLossCount: 5 },
      leadership: { leaseDurationMs: 5000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
      beatIntervalMs: 100,
      broker: {
        server: 'https://198.18.0.10:6443',
        namespace: 'submariner-k8s-broker',
        ca: '-----BEGIN CERTIFICATE-----',
        token: undefined,
        tokenFile: '/run/secrets/submariner.io/submariner-broker-secret/token',
        secretName: 'submariner-broker-secret',
        insecure: false,
        proxyUrl: undefined,
      },
    });
  });

  test('ipsec is another word for libreswan; vxlan needs no key', () => {
    expect(read({ SUBMARINER_CABLEDRIVER: 'ipsec' }).cableDriver).toBe('libreswan');
    expect(read({ SUBMARINER_CABLEDRIVER: 'vxlan', CE_IPSEC_PSKSECRET: '' }).psk).toBe('');
  });

  test('the broker by environment alone, as upstream may have it', () => {
    const ca = Buffer.from('-----BEGIN CERTIFICATE-----').toString('base64');
    const over = { BROKER_K8S_SECRET: '', BROKER_K8S_APISERVERTOKEN: 'tok', BROKER_K8S_CA: ca, CE_IPSEC_PSKSECRET: '' };
    const config = read({ ...over, CE_IPSEC_PSK: 'cHNr' }, {});
    expect(config.psk).toBe('cHNr');
    expect(config.broker).toMatchObject({ token: 'tok', tokenFile: undefined, ca: '-----BEGIN CERTIFICATE-----' });
  });

  test('IPv6 CIDRs are left out, fractions of seconds are taken', () => {
    const config = read({ SUBMARINER_CLUSTERCIDR: 'fd00::/48,10.1.0.0/16', SUBMARINER_HEALTHCHECKINTERVAL: '0.2' });
    expect(config.clusterCidrs).toEqual(['10.1.0.0/16']);
    expect(config.healthCheck.intervalMs).toBe(200);
  });

  test('all mistakes are named at once', () => {
    const text = mistakes(() =>
      read(
        {
          SUBMARINER_CLUSTERID: 'Not Good',
          SUBMARINER_CLUSTERCIDR: '10.0.0.0/33',
          SUBMARINER_CABLEDRIVER: 'carrier-pigeon',
          CE_IPSEC_NATTPORT: '70000',
          LEADERSHIP_LEASEDURATION: '1',
          SUBMARINER_HEALTHCHECKINTERVAL: '-1',
          NODE_NAME: '',
          BROKER_K8S_APISERVER: 'https://',
        },
        {},
      ),
    );
    for (const part of [
      'mistakes: ',
      'SUBMARINER_CLUSTERID="Not Good"',
      'SUBMARINER_CLUSTERCIDR: "10.0.0.0/33" is not a CIDR',
      'carrier-pigeon',
      'CE_IPSEC_NATTPORT="70000": is more than 65535',
      'LEADERSHIP_LEASEDURATION must be longer',
      'SUBMARINER_HEALTHCHECKINTERVAL="-1"',
      'NODE_NAME is not set',
      'BROKER_K8S_APISERVER="https://"',
      'submariner-broker-secret/token',
      'cannot read /run/secrets/submariner.io/submariner-ipsec-psk/psk',
    ])
      expect(text).toContain(part);
  });

  test('a missing key is a mistake for encrypted drivers', () => {
    expect(mistakes(() => read({ CE_IPSEC_PSKSECRET: '' }))).toContain('neither CE_IPSEC_PSKSECRET nor CE_IPSEC_PSK');
    const empty = { ...files, '/run/secrets/submariner.io/submariner-ipsec-psk/psk': Buffer.alloc(0) };
    expect(mistakes(() => read({}, empty))).toContain('psk is empty');
  });

  test('cleaning up needs neither broker nor key', () => {
    const {
      BROKER_K8S_APISERVER: _server,
      BROKER_K8S_SECRET: _secret,
      CE_IPSEC_PSKSECRET: _psk,
      ...rest
    } = environment;
    expect(readEngineConfig({ ...rest, SUBMARINER_UNINSTALL: 'true' }).broker).toBeUndefined();
  });
});
