import './demo-crm/actions/contact-summary.js';
import './demo-crm/syncs/contacts.js';
