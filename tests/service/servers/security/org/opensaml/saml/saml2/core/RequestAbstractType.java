package org.opensaml.saml.saml2.core;

/** A name that security's classes mention and never use here. */
public interface RequestAbstractType {}
