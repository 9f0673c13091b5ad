//! The management API: Azure Resource Manager's paths, shapes and errors over the catalogue.
