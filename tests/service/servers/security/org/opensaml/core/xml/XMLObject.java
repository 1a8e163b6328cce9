package org.opensaml.core.xml;

/** A name that security's classes mention and never use here. */
public interface XMLObject {}
