import { storeContract } from '../store.contract.ts';
import { openDiskHarness } from './disk-store.fixture.ts';

storeContract('disk store', openDiskHarness);
