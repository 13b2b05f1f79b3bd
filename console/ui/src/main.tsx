import './style/tokens.css';
import './style/base.css';
import './style/pages.css';
import './style/device.css';

import { render } from 'solid-js/web';

import { App } from './app';
import { startRouter } from './router';
import { loadTexts } from './text';

startRouter();
await loadTexts();
const root = document.querySelector('#app');
if (root) render(() => <App />, root);
