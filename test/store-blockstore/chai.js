import * as chai from 'chai'
import chaiAsPromised from 'chai-as-promised'

chai.use(chaiAsPromised)

// The suite writes `.true()`, as a plug-in of aegir's allows; chai alone has `.true`.
for (const name of ['true', 'false', 'ok']) {
  const { get } = Object.getOwnPropertyDescriptor(chai.Assertion.prototype, name)
  Object.defineProperty(chai.Assertion.prototype, name, {
    value() {
      get.call(this)
      return this
    }
  })
}

export const { assert, expect } = chai
