import './demo-crm/actions/contact-summary.js';
