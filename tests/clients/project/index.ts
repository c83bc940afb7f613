import './clients-crm/actions/echo.js';
import './clients-crm/actions/read-contact.js';
import './clients-crm/actions/refuse.js';
import './clients-crm/actions/remember.js';
import './clients-crm/on-events/check.js';
import './clients-crm/on-events/welcome.js';
import './clients-crm/syncs/contacts.js';
