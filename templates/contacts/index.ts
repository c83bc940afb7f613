import './hubspot/actions/create-contact.js';
import './hubspot/syncs/contacts.js';
import './pipedrive/actions/create-contact.js';
import './pipedrive/syncs/contacts.js';
